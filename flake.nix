{
  description = "phi-ls: code completion and answers about code from a model on your own machine";

  inputs.nixpkgs.url = "nixpkgs";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEachSystem = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      manifest = builtins.fromTOML (builtins.readFile ./Cargo.toml);
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = manifest.package.name;
          version = manifest.workspace.package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          # The tests start editors and download a model; `tests/run` runs them.
          doCheck = false;
          postInstall = ''
            $out/bin/phi-ls man man
            installManPage man/*.1
            for shell in bash zsh fish; do
              $out/bin/phi-ls completions $shell > phi-ls.$shell
            done
            installShellCompletion phi-ls.{bash,zsh,fish}
            mkdir -p $out/share/nvim/site/pack/phi-ls/opt
            cp -r editors/nvim $out/share/nvim/site/pack/phi-ls/opt/phi-ls
          '';
          meta = {
            inherit (manifest.package) description;
            license = with pkgs.lib.licenses; [
              mit
              asl20
            ];
            mainProgram = "phi-ls";
          };
        };
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [
            cargo
            cargo-nextest
            clippy
            rustc
            rustfmt
            nodejs
            python3
          ];
        };
      });
    };
}
