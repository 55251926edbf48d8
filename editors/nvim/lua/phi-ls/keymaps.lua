-- Insert-mode keys. They are laid over a buffer while they have something to do and taken off after it, so that what a
-- key does at all other times is its own: nothing of another mapping is read, kept or imitated, whatever kind it is
-- and whenever it was made. Only a buffer-local mapping under one of ours has to be put back.
--
-- Where nothing is mapped, Neovim takes Alt with a key for <Esc> and the key: it leaves Insert mode. In the buffers of
-- phi-ls that would throw a person out of it whenever the ghost text went a moment too early. A guard keeps them in.

local M = {}

local api = vim.api

---@class phi-ls.Key
---@field lhs string
---@field desc string
---@field active fun(): boolean
---@field run fun()

-- 'ghost': there while ghost text is shown. 'buffer': there in every buffer phi-ls is set up for, completions on or off.
---@alias phi-ls.Layer 'ghost'|'buffer'
local keys = { ghost = {}, buffer = {} } ---@type table<phi-ls.Layer, phi-ls.Key[]>

-- The buffer-local mappings under ours (false: none), by layer, buffer and left-hand side.
local under = { ghost = {}, buffer = {} } ---@type table<phi-ls.Layer, table<integer, table<string, table|false>>>

---@param lhs string
---@return table? mapping the one of the current buffer, in the form mapset() takes
local function own_mapping(lhs)
  local mapping = vim.fn.maparg(lhs, 'i', false, true)
  return mapping.buffer == 1 and mapping or nil
end

-- A guard is global, so that any other mapping goes before it or takes its place, and there only in Insert mode.
local GUARD = 'phi-ls: stay in Insert mode'

---@param lhs string
---@return boolean
local function has_alt(lhs)
  return vim.fn.keytrans(vim.keycode(lhs)):find('^<M%-') ~= nil
end

---@param lhs string
---@return boolean
local function is_mapped_globally(lhs)
  return vim.iter(api.nvim_get_keymap('i')):any(function(mapping)
    return mapping.lhsraw == vim.keycode(lhs)
  end)
end

local function put_guards_on()
  if not require('phi-ls.client').is_ours(api.nvim_get_current_buf()) then
    return
  end
  for _, key in ipairs(keys.ghost) do
    if has_alt(key.lhs) and not is_mapped_globally(key.lhs) then
      vim.keymap.set('i', key.lhs, '<Nop>', { desc = GUARD })
    end
  end
end

local function take_guards_off()
  for _, mapping in ipairs(api.nvim_get_keymap('i')) do
    if mapping.desc == GUARD then
      vim.keymap.del('i', mapping.lhs)
    end
  end
end

--- Takes `key` off the current buffer, unless another plugin has put its own mapping there since.
---@param key phi-ls.Key
---@param earlier table|false|nil
local function take_off(key, earlier)
  local mapping = own_mapping(key.lhs)
  if not mapping or mapping.desc ~= key.desc then
    return
  elseif earlier then
    vim.fn.mapset('i', false, earlier)
  else
    vim.keymap.del('i', key.lhs, { buffer = 0 })
  end
end

--- Presses the key of another: what is below ours now.
---@param key phi-ls.Key
local function press_under(key)
  -- A plugin may have kept our mapping and put it back: it must not find itself.
  local is_ours = vim.fn.maparg(key.lhs, 'i', false, true).desc == key.desc
  if not (is_ours and has_alt(key.lhs)) then
    api.nvim_feedkeys(vim.keycode(key.lhs), is_ours and 'in' or 'im', false)
  end
end

---@param key phi-ls.Key
---@param layer phi-ls.Layer
local function put_on(key, layer)
  vim.keymap.set('i', key.lhs, function()
    if key.active() then
      return key.run()
    end
    -- Keys typed faster than the editor looks at the text: the ghost text is no longer true.
    local buf = api.nvim_get_current_buf()
    M.lift(layer, buf)
    take_off(key, nil)
    press_under(key)
  end, { buffer = 0, nowait = true, desc = key.desc })
end

---@param buf integer
---@param body fun()
local function in_buffer(buf, body)
  if buf == api.nvim_get_current_buf() then
    body()
  elseif api.nvim_buf_is_loaded(buf) then
    api.nvim_buf_call(buf, body)
  end
end

---@param layer phi-ls.Layer
---@param buf integer
function M.lay(layer, buf)
  if under[layer][buf] then
    return
  end
  local found = {}
  under[layer][buf] = found
  in_buffer(buf, function()
    for _, key in ipairs(keys[layer]) do
      local mapping = own_mapping(key.lhs)
      found[key.lhs] = mapping and mapping.desc ~= key.desc and mapping or false
      put_on(key, layer)
    end
  end)
end

---@param layer phi-ls.Layer
---@param buf integer
function M.lift(layer, buf)
  local found = under[layer][buf]
  if not found then
    return
  end
  under[layer][buf] = nil
  in_buffer(buf, function()
    for _, key in ipairs(keys[layer]) do
      take_off(key, found[key.lhs])
    end
  end)
end

--- The keys that put text into the buffer, as a macro records them.
---@return string[]
function M.accepting()
  return vim.tbl_map(function(key)
    return vim.keycode(key.lhs)
  end, keys.ghost)
end

---@param keymaps table<string, string|false>
function M.setup(keymaps)
  local phi_ls = require('phi-ls')
  local layers = {
    { 'ghost', 'accept', 'accept the completion', phi_ls.accept },
    { 'ghost', 'accept_word', 'accept the next word', phi_ls.accept_word },
    { 'ghost', 'accept_line', 'accept the next line', phi_ls.accept_line },
    { 'ghost', 'dismiss', 'dismiss the completion', phi_ls.dismiss },
    { 'ghost', 'next', 'next alternative', phi_ls.next },
    { 'ghost', 'prev', 'previous alternative', phi_ls.prev },
    { 'buffer', 'trigger', 'ask for a completion', phi_ls.trigger },
  }
  local function always()
    return true
  end
  local active = { ghost = phi_ls.visible, buffer = always }
  for layer, buffers in pairs(under) do
    for buf in pairs(buffers) do
      M.lift(layer, buf)
    end
    keys[layer] = {}
  end
  for _, row in ipairs(layers) do
    local layer, action, desc, run = unpack(row)
    if keymaps[action] then
      table.insert(keys[layer], { lhs = keymaps[action], desc = 'phi-ls: ' .. desc, active = active[layer], run = run })
    end
  end
  take_guards_off()
  local function on(events, callback)
    api.nvim_create_autocmd(events, { group = 'phi-ls', callback = callback })
  end
  on('InsertEnter', put_guards_on)
  on({ 'InsertLeave', 'BufLeave' }, take_guards_off)
  on('BufEnter', function()
    if api.nvim_get_mode().mode:find('^[iR]') then
      put_guards_on()
    end
  end)
end

return M
