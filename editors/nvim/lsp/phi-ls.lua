-- The server for Neovim's own client, without the plugin: `vim.lsp.enable('phi-ls')`. For all file types, so there is no list of them.

---@type vim.lsp.Config
return {
  cmd = { 'phi-ls' },
  root_markers = { '.git', 'Cargo.toml', 'pyproject.toml', 'package.json', 'go.mod', 'CMakeLists.txt', 'pom.xml' },
}
