-- Insert-mode keys. A key acts on ghost text where there is some, and does what it did before otherwise.

local M = {}

--- What `lhs` did before: the mapping it had, else itself.
---@param lhs string
---@param previous table what maparg() said of it
---@return string keys
local function fall_back(lhs, previous)
  if previous.callback then
    local keys = previous.callback()
    return previous.expr == 1 and keys or ''
  elseif not previous.rhs then
    return lhs
  elseif previous.expr == 1 then
    return vim.api.nvim_eval(previous.rhs)
  elseif previous.noremap == 1 then
    return previous.rhs
  end
  -- A mapping to other mappings: an expression's result is not mapped again, fed keys are.
  vim.api.nvim_feedkeys(vim.keycode(previous.rhs), 'im', false)
  return ''
end

---@param lhs string
---@param desc string
---@param active fun(): boolean
---@param call string Lua to run where `active`
local function map(lhs, desc, active, call)
  local previous = vim.fn.maparg(lhs, 'i', false, true)
  if previous.desc == desc then
    -- setup() was called again.
    return
  end
  vim.keymap.set('i', lhs, function()
    -- <Cmd>, not a scheduled call: keys typed right after are then handled after it.
    return active() and ('<Cmd>lua %s<CR>'):format(call) or fall_back(lhs, previous)
  end, { expr = true, replace_keycodes = true, desc = desc })
end

---@param keymaps table<string, string|false>
function M.setup(keymaps)
  local function visible()
    return require('phi-ls').visible()
  end
  local function always()
    return require('phi-ls').attached()
  end
  local actions = {
    accept = { 'phi-ls: accept the completion', visible, "require('phi-ls').accept()" },
    accept_word = { 'phi-ls: accept the next word', visible, "require('phi-ls').accept_word()" },
    accept_line = { 'phi-ls: accept the next line', visible, "require('phi-ls').accept_line()" },
    dismiss = { 'phi-ls: dismiss the completion', visible, "require('phi-ls').dismiss()" },
    next = { 'phi-ls: next alternative', visible, "require('phi-ls').next()" },
    prev = { 'phi-ls: previous alternative', visible, "require('phi-ls').prev()" },
    trigger = { 'phi-ls: ask for a completion', always, "require('phi-ls').trigger()" },
  }
  for action, lhs in pairs(keymaps) do
    if lhs then
      map(lhs, unpack(actions[action]))
    end
  end
end

return M
