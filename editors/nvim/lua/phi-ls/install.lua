-- :PhiLs install: the server's program from the latest release, by the install script of the repository that the plugin is a part of.

local M = {}

-- Long enough for thirty megabytes on a slow line.
local TIMEOUT_MS = 10 * 60 * 1000
local FOLDER = vim.fs.joinpath(vim.fn.stdpath('data'), 'phi-ls')
local PROGRAM = FOLDER .. '/bin/phi-ls'

--- The folder of the repository this plugin is a part of; nil where the plugin was copied without it.
---@return string?
local function repository()
  local plugin = vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))))
  local root = vim.fs.dirname(vim.fs.dirname(plugin))
  return vim.uv.fs_stat(root .. '/install.sh') and root or nil
end

--- Where the archives of the latest release are, or a mirror of them.
---@param root string
---@return string? address
---@return string? wrong
local function archives(root)
  if vim.env.PHI_LS_RELEASES then
    return vim.env.PHI_LS_RELEASES
  end
  local remote = vim.system({ 'git', '-C', root, 'remote', 'get-url', 'origin' }, { text = true }):wait(5000)
  local address = remote.code == 0 and vim.trim(remote.stdout) or ''
  -- Git's own ways to write an address become a browser's.
  address = address:gsub('^git@([^:/]+):', 'https://%1/'):gsub('^ssh://git@', 'https://'):gsub('/$', ''):gsub('%.git$', '')
  if not vim.startswith(address, 'https://') then
    return nil, ("expected the origin of %s to be the address of a repository, found '%s'"):format(root, address)
  end
  return address .. '/releases/latest/download'
end

---@param text string
---@param level integer?
local function say(text, level)
  vim.notify('phi-ls: ' .. text, level or vim.log.levels.INFO)
end

--- Installs the server's program, tells how it went, and calls `done` once it is there. Returns what is wrong at once.
---@param done fun()
---@return string?
function M.run(done)
  local root = repository()
  if vim.fn.has('win32') == 1 then
    return "expected Linux or macOS; for Windows, unpack the release's archive and set `cmd` to the program"
  elseif not root then
    return 'expected the plugin to be in a clone of its repository, found it elsewhere; run the install.sh of a release'
  end
  local from, wrong = archives(root)
  if not from then
    return wrong
  end
  say(('installing the server from %s in %s'):format(from, FOLDER))
  local command = { 'sh', root .. '/install.sh', '--from', from, '--to', FOLDER }
  vim.system(command, { text = true, timeout = TIMEOUT_MS }, function(result)
    vim.schedule(function()
      if result.code ~= 0 then
        return say(vim.trim(result.stderr), vim.log.levels.ERROR)
      end
      say(result.stdout:match('installed [^\n]*'))
      done()
    end)
  end)
end

--- `cmd` with the program that was installed here, where `cmd` is the default and there is no other.
---@param cmd string[]
---@return string[]
function M.resolve(cmd)
  if cmd[1] ~= 'phi-ls' or vim.fn.executable(cmd[1]) == 1 or vim.fn.executable(PROGRAM) == 0 then
    return cmd
  end
  return vim.list_extend({ PROGRAM }, cmd, 2)
end

return M
