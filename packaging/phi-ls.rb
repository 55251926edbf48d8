# The Homebrew formula: scripts/release fills in what stands between the @ signs.
class PhiLs < Formula
  desc "Language server that completes and explains code with local models"
  homepage "@repository@"
  version "@version@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@repository@/releases/download/v@version@/phi-ls-@version@-aarch64-apple-darwin.tar.gz"
      sha256 "@sha256-aarch64-apple-darwin@"
    end
    on_intel do
      url "@repository@/releases/download/v@version@/phi-ls-@version@-x86_64-apple-darwin.tar.gz"
      sha256 "@sha256-x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@repository@/releases/download/v@version@/phi-ls-@version@-aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@sha256-aarch64-unknown-linux-gnu@"
    end
    on_intel do
      url "@repository@/releases/download/v@version@/phi-ls-@version@-x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@sha256-x86_64-unknown-linux-gnu@"
    end
  end

  def install
    bin.install "phi-ls"
    man1.install Dir["share/man/man1/*.1"]
    bash_completion.install "share/bash-completion/completions/phi-ls"
    zsh_completion.install "share/zsh/site-functions/_phi-ls"
    fish_completion.install "share/fish/vendor_completions.d/phi-ls.fish"
    (share/"nvim").install "share/nvim/site"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/phi-ls --version")
  end
end
