-- Problems of the lines an action is asked for. Neovim tells a server only of the problems that server has reported;
-- phi-ls reports none and explains those of all the others.

local documents = require('phi-ls.documents')

local M = {}

local api = vim.api

---@param buf integer
---@param row integer
---@param col integer bytes
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Position
local function position(buf, row, col, encoding)
  local line = api.nvim_buf_get_lines(buf, row, row + 1, false)[1] or ''
  return { line = row, character = vim.str_utfindex(line, encoding, math.min(col, #line), false) }
end

---@param diagnostic vim.Diagnostic
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.Diagnostic
local function to_lsp(diagnostic, encoding)
  local buf = diagnostic.bufnr
  return {
    -- The server that reported it may count characters in another way.
    range = {
      start = position(buf, diagnostic.lnum, diagnostic.col, encoding),
      ['end'] = position(buf, diagnostic.end_lnum or diagnostic.lnum, diagnostic.end_col or diagnostic.col, encoding),
    },
    severity = diagnostic.severity,
    message = diagnostic.message,
    source = diagnostic.source,
    code = diagnostic.code,
    relatedInformation = vim.tbl_get(diagnostic, 'user_data', 'lsp', 'relatedInformation'),
  }
end

--- The parameters of `textDocument/codeAction` with all problems of the lines it is about.
---@param params lsp.CodeActionParams
---@param buf integer
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return lsp.CodeActionParams
local function with_problems(params, buf, encoding)
  -- Given by whoever asks.
  if not vim.tbl_isempty(params.context.diagnostics) then
    return params
  end
  local first, last = params.range.start.line, params.range['end'].line
  local found = vim.tbl_filter(function(diagnostic)
    return diagnostic.lnum <= last and (diagnostic.end_lnum or diagnostic.lnum) >= first
  end, vim.diagnostic.get(buf))
  local diagnostics = vim.tbl_map(function(diagnostic)
    return to_lsp(diagnostic, encoding)
  end, found)
  return vim.tbl_deep_extend('force', params, { context = { diagnostics = diagnostics } })
end

--- Makes `client` send them along.
---@param client vim.lsp.Client
function M.attach(client)
  local request = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  client.request = function(self, method, params, handler, buf)
    if method == 'textDocument/codeAction' then
      params = with_problems(params, documents.buffer(params.textDocument.uri, buf), self.offset_encoding)
    end
    return request(self, method, params, handler, buf)
  end
end

return M
