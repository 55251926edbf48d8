-- Edits the server proposes: what they make of the files they are about, as text before anything is touched, and then
-- in the buffers. Written here and not left to vim.lsp.util.apply_workspace_edit, which says that an edit of an older
-- version was applied, and which turns a carriage return that belongs to the text into a new line.

local documents = require('phi-ls.documents')

local M = {}

local api = vim.api

---@class phi-ls.Change what an edit makes of one file
---@field uri string
---@field buf integer? nil where the file is to be created
---@field old string[] its lines
---@field new string[]

local CHANGED = 'the file has changed in the meantime; ask again'

---@param lines string[]
---@return string
local function joined(lines)
  return #lines == 0 and '' or table.concat(lines, '\n') .. '\n'
end

---@param old string[]
---@param new string[]
---@param options table
local function diff(old, new, options)
  local compare = vim.text and vim.text.diff or vim.diff
  return compare(joined(old), joined(new), vim.tbl_extend('error', { algorithm = 'histogram' }, options))
end

--- The index of a position's line, and how many bytes of it are before the position.
---@param lines string[]
---@param position lsp.Position
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return integer, integer
local function place(lines, position, encoding)
  local line = lines[position.line + 1]
  if not line then
    return #lines, #lines[#lines]
  end
  return position.line + 1, vim.str_byteindex(line, encoding, position.character, false)
end

--- `lines`, which are not touched, after `edits`. The positions are all of `lines` as they are.
---@param lines string[] at least one; an empty one at the end is the place after the last line end
---@param edits lsp.TextEdit[]
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return string[]
function M.edited(lines, edits, encoding)
  local order = {}
  for index, edit in ipairs(edits) do
    local start = edit.range.start
    order[index] = { edit = edit, line = start.line, character = start.character, index = index }
  end
  -- From the end, so that what is still to be edited stays in its place.
  table.sort(order, function(a, b)
    if a.line ~= b.line then
      return a.line > b.line
    elseif a.character ~= b.character then
      return a.character > b.character
    end
    return a.index > b.index
  end)
  for _, next in ipairs(order) do
    local first, before = place(lines, next.edit.range.start, encoding)
    local last, to = place(lines, next.edit.range['end'], encoding)
    local text = lines[first]:sub(1, before) .. next.edit.newText .. lines[last]:sub(to + 1)
    local out = vim.list_slice(lines, 1, first - 1)
    vim.list_extend(out, vim.split(text, '\n', { plain = true }))
    lines = vim.list_extend(out, lines, last + 1)
  end
  return lines
end

--- What `edits` make of a buffer. A buffer does not hold the end of its last line, a document does.
---@param buf integer
---@param edits lsp.TextEdit[]
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return phi-ls.Change
local function change_of_buffer(buf, uri, edits, encoding)
  local old = api.nvim_buf_get_lines(buf, 0, -1, true)
  local ended = vim.bo[buf].endofline
  local document = vim.list_extend({}, old)
  if ended then
    document[#document + 1] = ''
  end
  local format = vim.bo[buf].fileformat
  local adapted = vim.tbl_map(function(edit)
    local text = edit.newText
    if format ~= 'unix' then
      text = text:gsub('\r\n?', '\n')
    end
    return { range = edit.range, newText = text }
  end, edits)
  local new = M.edited(document, adapted, encoding)
  local written = ended or (vim.bo[buf].fixendofline and not vim.bo[buf].binary)
  if written and #new > 1 and new[#new] == '' then
    new[#new] = nil
  end
  return { uri = uri, buf = buf, old = old, new = documents.restored(new, buf, old) }
end

---@param edit lsp.TextDocumentEdit
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return phi-ls.Change? change
---@return string? reason why there is none
local function change_of_document(edit, encoding)
  local uri, version = edit.textDocument.uri, edit.textDocument.version
  local buf = documents.buffer(uri)
  vim.fn.bufload(buf)
  local known = vim.lsp.util.buf_versions[buf]
  if type(version) == 'number' and known and known ~= version then
    return nil, CHANGED
  elseif not vim.bo[buf].modifiable then
    return nil, 'the buffer is not modifiable'
  end
  return change_of_buffer(buf, uri, edit.edits, encoding)
end

---@param edit lsp.TextDocumentEdit
---@return phi-ls.Change
local function change_of_new_file(edit, encoding)
  local new = M.edited({ '' }, edit.edits, encoding)
  if #new > 1 and new[#new] == '' then
    new[#new] = nil
  end
  return { uri = edit.textDocument.uri, old = {}, new = new }
end

--- What `edit` does to each file.
---@param edit lsp.WorkspaceEdit
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return phi-ls.Change[]? changes
---@return string? reason why there are none
function M.changes(edit, encoding)
  local created = {} ---@type table<string, boolean>
  local changes = {} ---@type phi-ls.Change[]
  local documents = vim.list_extend({}, edit.documentChanges or {})
  for uri, edits in pairs(not edit.documentChanges and edit.changes or {}) do
    documents[#documents + 1] = { textDocument = { uri = uri }, edits = edits }
  end
  for _, change in ipairs(documents) do
    local planned, reason
    if change.kind == 'create' then
      created[change.uri] = true
      reason = vim.uv.fs_stat(vim.uri_to_fname(change.uri)) and 'the new file already exists'
    elseif change.kind then
      reason = ("expected edits of text and new files, found '%s'"):format(change.kind)
    elseif created[change.textDocument.uri] then
      planned = change_of_new_file(change, encoding)
    else
      planned, reason = change_of_document(change, encoding)
    end
    if reason then
      return nil, reason
    end
    changes[#changes + 1] = planned
  end
  return changes
end

---@param a string[]
---@param b string[]
---@return integer lines that are equal at the begin
---@return integer lines after them that are equal at the end
local function common(a, b)
  local shorter = math.min(#a, #b)
  local first, last = 0, 0
  while first < shorter and a[first + 1] == b[first + 1] do
    first = first + 1
  end
  while last < shorter - first and a[#a - last] == b[#b - last] do
    last = last + 1
  end
  return first, last
end

--- Brings `change` up to date with its buffer, which may have been edited above or below the lines it is about.
---@param change phi-ls.Change
---@return boolean possible
local function rebase(change)
  if not change.buf then
    return vim.uv.fs_stat(vim.uri_to_fname(change.uri)) == nil
  elseif not api.nvim_buf_is_loaded(change.buf) then
    return false
  end
  local now = api.nvim_buf_get_lines(change.buf, 0, -1, true)
  if vim.deep_equal(now, change.old) then
    return true
  end
  -- The lines from the first to the last one that `change` is about.
  local above, below = common(change.old, change.new)
  local same_above, same_below = common(change.old, now)
  if same_above < #change.old - below and same_below < #change.old - above then
    return false
  end
  local offset = same_below >= #change.old - above and #now - #change.old or 0
  local new = vim.list_slice(now, 1, above + offset)
  vim.list_extend(new, change.new, above + 1, #change.new - below)
  vim.list_extend(new, now, #change.old - below + offset + 1)
  change.old, change.new = now, new
  return true
end

--- Brings all up to date with their buffers.
---@param changes phi-ls.Change[]
---@return string? reason why that cannot be done
function M.refresh(changes)
  for _, change in ipairs(changes) do
    if not rebase(change) then
      return CHANGED
    end
  end
end

--- Whether anything would be changed at all.
---@param changes phi-ls.Change[]
---@return boolean
function M.is_empty(changes)
  return vim.iter(changes):all(function(change)
    return change.buf ~= nil and vim.deep_equal(change.old, change.new)
  end)
end

--- The lines of a unified diff.
---@param changes phi-ls.Change[]
---@return string[]
function M.unified(changes)
  local lines = {} ---@type string[]
  for _, change in ipairs(changes) do
    if #changes > 1 or not change.buf then
      local name = vim.fn.fnamemodify(vim.uri_to_fname(change.uri), ':.')
      lines[#lines + 1] = change.buf and '--- ' .. name or '--- /dev/null'
      lines[#lines + 1] = '+++ ' .. name
    end
    local text = diff(change.old, change.new, { ctxlen = 3 }) --[[@as string]]
    vim.list_extend(lines, vim.split(text, '\n', { plain = true, trimempty = true }))
  end
  return lines
end

---@param change phi-ls.Change
local function put(change)
  local hunks = diff(change.old, change.new, { result_type = 'indices' }) --[[@as integer[][] ]]
  -- What is typed before and after is another step of undo.
  api.nvim_buf_call(change.buf, function()
    vim.cmd('let &g:undolevels = &g:undolevels')
  end)
  for index = #hunks, 1, -1 do
    local from, count, to, added = unpack(hunks[index])
    -- Where nothing is taken out, `from` is the line before.
    local first = count > 0 and from - 1 or from
    api.nvim_buf_set_lines(change.buf, first, first + count, true, vim.list_slice(change.new, to, to + added - 1))
  end
  vim.bo[change.buf].buflisted = true
end

---@param change phi-ls.Change
local function create(change)
  local name = vim.uri_to_fname(change.uri)
  vim.fn.mkdir(vim.fs.dirname(name), 'p')
  -- A window of its own: what nobody sees is not saved.
  vim.cmd.split(vim.fn.fnameescape(vim.fn.fnamemodify(name, ':.')))
  api.nvim_buf_set_lines(0, 0, -1, true, change.new)
end

--- Makes the changes, one step of undo in each buffer. A new file is opened and not yet written.
---@param changes phi-ls.Change[] up to date
function M.apply(changes)
  for _, change in ipairs(changes) do
    if change.buf then
      put(change)
    else
      create(change)
    end
  end
end

return M
