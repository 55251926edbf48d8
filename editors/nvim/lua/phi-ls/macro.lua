-- Macros. A macro holds the keys that were typed; the key that accepted a completion says nothing when the macro runs
-- elsewhere, where no ghost text is shown. While one is recorded, each acceptance leaves a mark behind its key; once
-- it is complete, the text itself stands in place of the two, in the form in which Neovim records a paste.

local M = {}

local api = vim.api

local PASTE_START, PASTE_END = '\128PS', '\128PE'
-- How the byte that begins a special key is written where it is meant itself.
local SPECIAL = '\128\254X'

-- The keys that do what each acceptance did, by its mark.
local marks = {} ---@type table<string, string>
local count = 0

--- The keys that put `text` into the buffer literally.
---@param text string
---@return string
function M.literally(text)
  if text == '' then
    return ''
  end
  return PASTE_START .. text:gsub('\128', SPECIAL) .. PASTE_END
end

--- A macro is being recorded and a completion was accepted: `keys` would do the same.
---@param keys string
function M.note(keys)
  if vim.fn.reg_recording() == '' then
    return
  end
  count = count + 1
  local mark = ('<Plug>(phi-ls-accepted:%d)'):format(count)
  vim.keymap.set('i', mark, '<Nop>')
  marks[mark] = keys
  -- As if typed, so that it is recorded.
  api.nvim_feedkeys(vim.keycode(mark), 'imt', false)
end

---@param recorded string
---@return string
local function resolved(recorded)
  for mark, keys in pairs(marks) do
    local at = recorded:find(vim.keycode(mark), 1, true)
    if at then
      local before, after = recorded:sub(1, at - 1), recorded:sub(at + #vim.keycode(mark))
      for _, key in ipairs(require('phi-ls.keymaps').accepting()) do
        if vim.endswith(before, key) then
          before = before:sub(1, #before - #key)
          break
        end
      end
      recorded = before .. keys .. after
    end
  end
  return recorded
end

local function finish(register)
  if next(marks) == nil then
    return
  end
  vim.fn.setreg(register, resolved(vim.fn.getreg(register)), vim.fn.getregtype(register))
  for mark in pairs(marks) do
    vim.keymap.del('i', mark)
  end
  marks = {}
end

function M.setup()
  api.nvim_create_autocmd('RecordingLeave', {
    group = api.nvim_create_augroup('phi-ls.macro', {}),
    -- The register is written after the event.
    callback = function()
      local register = vim.v.event.regname
      vim.schedule(function()
        finish(register)
      end)
    end,
  })
end

return M
