-- The documents the server is told of by this module in place of Neovim's own client, which would tell it wrong:
--
-- * Buffers without a name: all of them have one URI for Neovim.
-- * Buffers with a carriage return or a NUL inside a line: a server takes the one for the end of a line, and Neovim sends
--   the other as one. All lines after it, and all edits of them, would be off by one. They are sent with something in
--   place of it that is as wide.
--
-- Such a document is sent whole: before each request, and soon after a change.

local M = {}

local api = vim.api

---@class phi-ls.Document
---@field client vim.lsp.Client
---@field uri string
---@field timer uv.uv_timer_t? running: the buffer has changed since it was sent

local documents = {} ---@type table<integer, phi-ls.Document> by buffer
-- The buffers whose changes are looked at.
local watched = {} ---@type table<integer, true>

-- What Neovim calls every buffer without a name.
local NAMELESS = vim.uri_from_fname('')
-- As long as Neovim waits with the changes of the others.
local DELAY_MS = 150

--- A line as the server is to see it. Bytes, characters and code units stay in their places.
---@param line string
---@param format string the buffer's 'fileformat'
---@return string
local function sent_line(line, format)
  -- A NUL in the buffer is a line feed here.
  local sent = line:gsub('\n', '\0')
  if format == 'unix' and vim.endswith(sent, '\r') then
    -- Part of a Windows line end, for the server too.
    return sent:sub(1, -2):gsub('\r', ' ') .. '\r'
  end
  return (sent:gsub('\r', ' '))
end

---@param lines string[]
---@param format string
---@return boolean
local function is_told_wrong(lines, format)
  for _, line in ipairs(lines) do
    if line:find('[\r\n]') and sent_line(line, format) ~= line then
      return true
    end
  end
  return false
end

--- The text of `buf` as the server is to see it.
---@param buf integer
---@return string
local function text_of(buf)
  local format = vim.bo[buf].fileformat
  local line_end = ({ dos = '\r\n', mac = '\r' })[format] or '\n'
  local lines = vim.tbl_map(function(line)
    return sent_line(line, format)
  end, api.nvim_buf_get_lines(buf, 0, -1, true))
  return table.concat(lines, line_end) .. (vim.bo[buf].endofline and line_end or '')
end

---@param client vim.lsp.Client
---@param method string
---@param document table
---@param more table?
local function send(client, method, document, more)
  client.rpc.notify(method, vim.tbl_extend('error', { textDocument = document }, more or {}))
end

---@param document phi-ls.Document
local function stop_timer(document)
  if document.timer and not document.timer:is_closing() then
    document.timer:close()
  end
  document.timer = nil
end

---@param buf integer
local function send_change(buf)
  local document = documents[buf]
  stop_timer(document)
  local identifier = { uri = document.uri, version = vim.lsp.util.buf_versions[buf] }
  send(document.client, 'textDocument/didChange', identifier, { contentChanges = { { text = text_of(buf) } } })
end

---@param buf integer
local function flush(buf)
  if documents[buf] and documents[buf].timer then
    send_change(buf)
  end
end

---@param client vim.lsp.Client
---@param buf integer
---@param uri string
local function open(client, buf, uri)
  documents[buf] = { client = client, uri = uri }
  send(client, 'textDocument/didOpen', {
    uri = uri,
    version = vim.lsp.util.buf_versions[buf],
    languageId = client.get_language_id(buf, vim.bo[buf].filetype),
    text = text_of(buf),
  })
end

---@param buf integer
local function close(buf)
  local document = documents[buf]
  documents[buf] = nil
  stop_timer(document)
  send(document.client, 'textDocument/didClose', { uri = document.uri })
end

---@param client vim.lsp.Client
---@param buf integer
---@param first integer
---@param last integer
local function on_lines(client, buf, first, last)
  local document = documents[buf]
  if not document then
    if not is_told_wrong(api.nvim_buf_get_lines(buf, first, last, false), vim.bo[buf].fileformat) then
      return
    end
    document = { client = client, uri = vim.uri_from_bufnr(buf) }
    documents[buf] = document
  end
  stop_timer(document)
  document.timer = vim.defer_fn(function()
    if documents[buf] == document and api.nvim_buf_is_loaded(buf) then
      send_change(buf)
    end
  end, DELAY_MS)
end

---@param uri string
---@return integer? buf
local function told_here(uri)
  for buf, document in pairs(documents) do
    if document.uri == uri then
      return buf
    end
  end
end

--- What Neovim is about to notify `client` of.
---@param client vim.lsp.Client
---@param method string
---@param uri string
---@return boolean taken whether the server has been told, or will be
local function take(client, method, uri)
  local opens = method == 'textDocument/didOpen'
  if uri == NAMELESS then
    return true
  elseif not opens then
    local buf = told_here(uri)
    if buf and method == 'textDocument/didClose' then
      close(buf)
    end
    return buf ~= nil and method ~= 'textDocument/didSave'
  end
  local buf = vim.uri_to_bufnr(uri)
  if documents[buf] then
    close(buf)
  end
  if not is_told_wrong(api.nvim_buf_get_lines(buf, 0, -1, true), vim.bo[buf].fileformat) then
    return false
  end
  open(client, buf, uri)
  return true
end

--- Stands between Neovim and `client`.
---@param client vim.lsp.Client
function M.hook(client)
  local notify, request = client.notify, client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.notify = function(self, method, params)
    local uri = vim.tbl_get(params or {}, 'textDocument', 'uri')
    if uri and take(self, method, uri) then
      return true
    end
    return notify(self, method, params)
  end
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, buf)
    local number = buf and buf ~= 0 and buf or api.nvim_get_current_buf()
    flush(number)
    if documents[number] and vim.tbl_get(params or {}, 'textDocument') then
      params = vim.tbl_deep_extend('force', params, { textDocument = { uri = documents[number].uri } })
    end
    return request(self, method, params, handler, buf)
  end
end

--- Neovim has attached `buf` to `client`.
---@param client vim.lsp.Client
---@param buf integer
function M.attach(client, buf)
  if api.nvim_buf_get_name(buf) == '' then
    open(client, buf, ('untitled:Untitled-%d'):format(buf))
  end
  if watched[buf] then
    return
  end
  watched[buf] = true
  api.nvim_buf_attach(buf, false, {
    on_lines = function(_, _, _, first, _, last)
      local now = vim.lsp.get_clients({ bufnr = buf, name = 'phi-ls' })[1]
      if now then
        on_lines(now, buf, first, last)
      end
    end,
    on_detach = function()
      watched[buf] = nil
    end,
  })
end

---@param client vim.lsp.Client
---@param buf integer
function M.detach(client, buf)
  local document = documents[buf]
  if document and document.client == client then
    if client:is_stopped() then
      documents[buf] = nil
      stop_timer(document)
    else
      close(buf)
    end
  end
end

---@param buf integer
---@return string
function M.uri(buf)
  return documents[buf] and documents[buf].uri or vim.uri_from_bufnr(buf)
end

---@param uri string
---@param asked_in integer? the buffer a request with this URI is about, 0 or nil for the current one
---@return integer buf
function M.buffer(uri, asked_in)
  if uri == NAMELESS then
    return asked_in and asked_in ~= 0 and asked_in or api.nvim_get_current_buf()
  end
  return told_here(uri) or vim.uri_to_bufnr(uri)
end

--- `lines`, made from what the server said, with what it was not shown put back where a line is otherwise as it was.
---@param lines string[]
---@param buf integer
---@param old string[] the lines of the buffer
---@return string[]
function M.restored(lines, buf, old)
  if not documents[buf] then
    return lines
  end
  local format = vim.bo[buf].fileformat
  local originals = {}
  for _, line in ipairs(old) do
    originals[sent_line(line, format)] = line
  end
  return vim.tbl_map(function(line)
    return originals[line] or line
  end, lines)
end

return M
