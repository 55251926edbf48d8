-- Where completions are on: everywhere or nowhere, by filetype, by buffer.

local M = {}

local api = vim.api

local DAY_MINUTES = 24 * 60

-- The switch for everything.
M.on = true
---@type integer? when `on` comes back by itself, in seconds since 1970
M.snoozed_until = nil
local timer ---@type uv.uv_timer_t?
local filetypes = {} ---@type table<string, boolean>

--- Whether `buf` is one phi-ls works in; the switch for everything left aside.
---@param buf integer
---@return boolean
function M.is_on_for(buf)
  local own = vim.b[buf].phi_ls_enabled
  if own ~= nil then
    return own ~= false and own ~= 0
  end
  return filetypes[vim.bo[buf].filetype] ~= false
end

---@param on boolean
---@param filetype string
function M.set_filetype(on, filetype)
  filetypes[filetype] = on
end

---@param on boolean
---@param buf integer
function M.set_buffer(on, buf)
  vim.b[buf].phi_ls_enabled = on
end

---@param on boolean
function M.set(on)
  M.on = on
  M.snoozed_until = nil
  if timer then
    timer:close()
    timer = nil
  end
end

--- Whether completions can be off for `minutes`: it is shown as a time of day, which means nothing beyond a day. No for NaN.
---@param minutes number
---@return boolean
function M.can_snooze(minutes)
  return minutes > 0 and minutes <= DAY_MINUTES
end

--- The minute, rounded up, at which completions are on again.
---@return string
local function wake_time()
  local wake = math.ceil(M.snoozed_until / 60) * 60
  local day = os.date('%x', wake) == os.date('%x') and '' or ' tomorrow'
  return os.date('%H:%M', wake) .. day
end

--- Off, for a time.
---@param minutes number
---@param wake fun()
function M.snooze(minutes, wake)
  M.set(false)
  M.snoozed_until = os.time() + math.floor(minutes * 60)
  timer = vim.defer_fn(function()
    timer = nil
    wake()
  end, math.floor(minutes * 60000))
end

--- What a person reads about `buf`, and the command that turns completions on; nil where they are.
---@param buf integer
---@return string? reason
---@return string? command
function M.reason(buf)
  if M.snoozed_until then
    return 'off until ' .. wake_time(), ':PhiLs enable'
  elseif not M.on then
    return 'off', ':PhiLs enable'
  elseif not api.nvim_buf_is_valid(buf) or M.is_on_for(buf) then
    return nil
  elseif vim.b[buf].phi_ls_enabled ~= nil then
    return 'off in this buffer', ':PhiLs enable buffer'
  end
  return ('off for %s'):format(vim.bo[buf].filetype), ':PhiLs enable filetype'
end

return M
