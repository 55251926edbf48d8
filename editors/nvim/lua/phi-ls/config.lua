-- The plugin's options: defaults, and one clear error for each thing that is wrong.

local M = {}

---@class phi-ls.Config
M.defaults = {
  -- The server. Its flags may follow: { 'phi-ls', 'serve', '--threads', '4' }.
  cmd = { 'phi-ls' },
  -- Extra environment variables of the server, such as PHI_LS_MODELS.
  cmd_env = nil, ---@type table<string, string>?
  -- The server's own settings, such as { completion = { model = 'phi-4-mini' } }.
  settings = {},
  -- Where completions are offered: a list of filetypes, nil for every listed buffer that is a file.
  filetypes = nil, ---@type string[]?
  root_markers = { '.git', 'Cargo.toml', 'pyproject.toml', 'package.json', 'go.mod', 'CMakeLists.txt', 'pom.xml' },
  -- What draws ghost text: 'builtin' (vim.lsp.inline_completion), 'extmarks' (the plugin), 'auto' (builtin if there).
  ui = 'auto',
  -- Show the diff of an edit (fix, refactor, document, write tests) before it is applied.
  confirm_edits = true,
  -- Insert-mode keys; false leaves a key alone. All but `trigger` are there while ghost text is shown.
  keymaps = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    dismiss = '<C-]>',
    trigger = '<M-\\>',
    next = '<M-]>',
    prev = '<M-[>',
  },
}

local TYPES = {
  cmd = 'table',
  cmd_env = 'table',
  settings = 'table',
  filetypes = 'table',
  root_markers = 'table',
  ui = 'string',
  confirm_edits = 'boolean',
  keymaps = 'table',
}

---@param options table
local function check(options)
  for name, value in pairs(options) do
    local expected = TYPES[name]
    if not expected then
      local known = vim.tbl_keys(TYPES)
      table.sort(known)
      error(("phi-ls: unknown option '%s': expected one of %s"):format(name, table.concat(known, ', ')), 0)
    end
    if type(value) ~= expected then
      error(("phi-ls: option '%s': expected a %s, found a %s"):format(name, expected, type(value)), 0)
    end
  end
  for action in pairs(options.keymaps or {}) do
    if M.defaults.keymaps[action] == nil then
      error(("phi-ls: unknown keymap '%s': see :help phi-ls-keymaps"):format(action), 0)
    end
  end
  if options.ui and not vim.list_contains({ 'auto', 'builtin', 'extmarks' }, options.ui) then
    error(("phi-ls: option 'ui': expected 'auto', 'builtin' or 'extmarks', found '%s'"):format(options.ui), 0)
  end
  if options.ui == 'builtin' and not vim.lsp.inline_completion then
    error("phi-ls: option 'ui' is 'builtin', which needs Neovim 0.12: use 'auto'", 0)
  end
end

---@param options table?
---@return phi-ls.Config
function M.resolve(options)
  options = options or {}
  check(options)
  local config = vim.tbl_deep_extend('force', M.defaults, options)
  if config.ui == 'auto' then
    config.ui = vim.lsp.inline_completion and 'builtin' or 'extmarks'
  end
  return config
end

return M
