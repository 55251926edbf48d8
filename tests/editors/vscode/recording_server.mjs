#!/usr/bin/env node
// The real server, with a record of all that is said to it and by it.

import { spawn } from "node:child_process";
import { read, record, write } from "./frames.mjs";

const server = spawn(process.env.PHI_LS_BIN, { stdio: ["pipe", "pipe", "inherit"] });

read(process.stdin, (message) => {
  record("client", message);
  write(server.stdin, message);
});
read(server.stdout, (message) => {
  record("server", message);
  write(process.stdout, message);
});
process.stdin.on("end", () => server.stdin.end());
server.stdin.on("error", () => {});
server.on("exit", (code) => process.exit(code ?? 1));
