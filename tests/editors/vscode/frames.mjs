// The frames of the protocol, and a record of what went through them.

import { appendFileSync } from "node:fs";

export function write(stream, message) {
  const body = Buffer.from(JSON.stringify(message));
  stream.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
}

/** Calls `receive` with each message on `stream`. */
export function read(stream, receive) {
  let input = Buffer.alloc(0);
  stream.on("data", (chunk) => {
    input = Buffer.concat([input, chunk]);
    for (;;) {
      const end = input.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/i.exec(input.subarray(0, end).toString())?.[1]);
      if (end < 0 || input.length < end + 4 + length) {
        return;
      }
      receive(JSON.parse(input.subarray(end + 4, end + 4 + length).toString()));
      input = input.subarray(end + 4 + length);
    }
  });
}

/** Notes a message; `from` says which side sent it. */
export function record(from, message) {
  appendFileSync(process.env.MESSAGES, `${JSON.stringify({ from, message })}\n`);
}
