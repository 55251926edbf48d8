-- Random keys, against a Neovim without the plugin that gets the same ones: nvim --headless -u NONE -l fuzz_test.lua
-- PHI_LS_TEST_SEED begins the random numbers, PHI_LS_TEST_KEYS is how many keys.

local here = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, 'S').source:sub(2)))
package.path = here .. '/?.lua;' .. package.path
local harness = require('harness')
local equal = harness.equal
vim.opt.runtimepath:prepend(harness.root .. '/editors/nvim')
local text = require('phi-ls.text')

local SEED = tonumber(vim.env.PHI_LS_TEST_SEED or '1')
local COUNT = tonumber(vim.env.PHI_LS_TEST_KEYS or '500')

-- As the scripted server has them.
local EVERYWHERE = { [0] = false, 'alpha(beta, gamma)', 'one\n    two\n    three', 'é = [1, 2]', '.size' }
local LINES = { 'import os', '', 'def area(radius):', '    return 3 * radius', '', 'print(area(2))' }

-- As an auto-pairs plugin maps them.
local BEFORE = [[
  -- Python's indentation asks the highlighting, which depends on what has been drawn, and gives up after a time.
  vim.api.nvim_create_autocmd('FileType', {
    callback = function()
      vim.bo.indentexpr = ''
    end,
  })
  vim.o.autoindent, vim.o.hidden, vim.o.complete = true, true, '.'
  vim.fn.setreg('"', 'pasted')
  vim.keymap.set('i', '(', '()<C-g>U<Left>')
  vim.keymap.set('i', '[', '[]<C-g>U<Left>')
  for _, closer in ipairs({ ')', ']' }) do
    vim.keymap.set('i', closer, function()
      local col = vim.fn.col('.')
      return vim.fn.getline('.'):sub(col, col) == closer and '<C-g>U<Right>' or closer
    end, { expr = true })
  end
  vim.keymap.set('i', '<BS>', function()
    local col = vim.fn.col('.')
    return vim.list_contains({ '()', '[]' }, vim.fn.getline('.'):sub(col - 1, col)) and '<C-g>U<Right><BS><BS>' or '<BS>'
  end, { expr = true, replace_keycodes = true })
]]

-- What phi-ls changes of its keys while no ghost text is shown: those with Alt do not leave Insert mode.
local NO_ALT = [[
  for _, key in ipairs({ '<M-Right>', '<M-Down>' }) do
    vim.keymap.set('i', key, '<Nop>')
  end
]]

local NORMAL = {
  'i', 'a', 'A', 'o', 'O', 'I', 'i', 'a', 'A', 'o', 'S', 'C', 'dd', 'yyp', 'p', 'u', '<C-r>', 'u', 'gg', 'G', 'w', 'b',
  'x', '.', 'J', '<C-w>s', '<C-w>w', '<C-w>o', 'R', 'v', 'ciw', '3a',
}
local INSERT = {
  'a', 'b', 'x', ' ', '=', '.', 'é', '(', ')', '[', ']', ',', '"', 'alpha', 'one', '<CR>', '<CR>', '<BS>', '<BS>', '<Del>',
  '<Left>', '<Right>', '<Up>', '<Down>', '<Home>', '<End>', '<Esc>', '<Esc>', '<C-n>', '<C-p>', '<C-e>', '<C-y>', '<C-w>',
  '<C-u>', '<C-r>"', '<C-o>u', '<C-o>p', '<C-t>', '<C-d>', '<C-]>', '<Tab>', '<Tab>', '<Tab>', '<M-Right>', '<M-Down>',
}
local ACCEPTING = { '<Tab>', '<M-Right>', '<M-Down>' }

---@param seed integer
local function random(seed)
  local state = seed
  return function(list)
    -- Numbers that all fit a double.
    state = (state * 16807) % 2147483647
    return list[state % #list + 1]
  end
end

---@param child Child
local function state_of(child)
  return child:lua([[
    return {
      lines = vim.api.nvim_buf_get_lines(0, 0, -1, true),
      cursor = vim.api.nvim_win_get_cursor(0),
      mode = vim.api.nvim_get_mode().mode,
      windows = #vim.api.nvim_list_wins(),
      errmsg = vim.v.errmsg,
    }
  ]])
end

--- Whether `ghost` is what a completion of some place before the cursor leaves to be typed at it.
local function is_valid(ghost, state)
  local row, col = unpack(state.cursor)
  local after = state.lines[row]:sub(col + 1)
  local typed = ''
  for from = row, math.max(1, row - 3), -1 do
    local line = from == row and state.lines[row]:sub(1, col) or state.lines[from]
    for cut = #line, 0, -1 do
      local sum = 0
      for _, byte in ipairs({ line:byte(1, cut) }) do
        sum = sum + byte
      end
      local completion = EVERYWHERE[sum % 5]
      local so_far = line:sub(cut + 1) .. typed
      if completion and vim.startswith(completion, so_far) then
        for length = 0, math.min(4, #after) do
          local pieces = text.pieces(completion:sub(#so_far + 1), after:sub(1, length), #completion)
          local seen = pieces and vim.iter(pieces):map(function(each)
            return each.piece
          end):join('')
          if seen == ghost then
            return true
          end
        end
      end
    end
    typed = '\n' .. (from == row and state.lines[row]:sub(1, col) or state.lines[from]) .. typed
  end
  return false
end

--- Does in `reference` by other means what accepting did: a paste, and steps over the closers at its end.
local function accept_too(reference, before, after)
  local inserted = vim.iter(reference.accepted):join('\n')
  local grown = #table.concat(after.lines, '\n') - #table.concat(before.lines, '\n')
  local break_undo = 'vim.cmd("let &g:undolevels = &g:undolevels")'
  reference.child:lua(break_undo)
  if grown > 0 then
    reference.child:call('nvim_paste', inserted:sub(1, grown), false, -1)
  end
  reference.child:settle(('<C-g>U<Right>'):rep(#inserted - grown))
  reference.child:lua(break_undo)
end

---@param child Child
local function inline_marks(child)
  return child:lua([[
    local namespace = vim.api.nvim_create_namespace('phi-ls.ghost')
    return #vim.tbl_filter(function(mark)
      return mark[4].virt_text ~= nil
    end, vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true }))
  ]])
end

---@param child Child
---@param format 'unix'|'dos'
local function check_server(child, state, format)
  local line_end = format == 'dos' and '\r\n' or '\n'
  local documents = child:documents()
  local _, sent = next(documents)
  equal(sent, table.concat(state.lines, line_end) .. line_end, "the server's copy")
end

---@param format 'unix'|'dos'
---@param seed integer
local function fuzz(format, seed)
  local bytes = table.concat(LINES, format == 'dos' and '\r\n' or '\n') .. (format == 'dos' and '\r\n' or '\n')
  local file = { name = 'main.py', bytes = bytes }
  local settings = { everywhere = true, sync = 2 }
  local child = harness.start({ cmd = harness.scripted_server, settings = settings, ui = 'extmarks' }, file, BEFORE)
  local reference = harness.start(nil, file, BEFORE .. NO_ALT)
  local pick = random(seed * 7919)
  local pressed, accepted, shown = {}, 0, 0
  local ok, err = xpcall(function()
    local state = state_of(child)
    for index = 1, COUNT do
      local inserting = vim.list_contains({ 'i', 'R' }, state.mode:sub(1, 1))
      local key = pick(inserting and INSERT or state.mode == 'n' and NORMAL or { '<Esc>' })
      if key == '<C-w>s' and state.windows > 1 then
        key = '<C-w>w'
      end
      local ghost = child:ghost()
      local accepts = vim.list_contains(ACCEPTING, key) and ghost ~= ''
      if accepts and inline_marks(child) > 1 then
        key, accepts = '<End>', false
      end
      pressed[#pressed + 1] = key
      child:settle(key)
      local now = state_of(child)
      if accepts then
        accepted = accepted + 1
        local from, to = state.cursor, now.cursor
        local put = child:call('nvim_buf_get_text', 0, from[1] - 1, from[2], to[1] - 1, to[2], {})
        accept_too({ child = reference, accepted = put }, state, now)
      else
        reference:settle(key)
      end
      equal(now, state_of(reference), 'the editor')
      state = now
      local drawn = child:ghost()
      shown = shown + (drawn ~= '' and 1 or 0)
      if drawn ~= '' and not (state.mode:sub(1, 1) == 'i' and is_valid(drawn, state)) then
        error(('stale ghost text %q in mode %s'):format(drawn, state.mode), 0)
      end
      if index % 20 == 0 then
        check_server(child, state, format)
      end
    end
    check_server(child, state, format)
    assert(accepted > 5 and shown > 20, ('accepted %d, shown %d'):format(accepted, shown))
    local log = io.open(child:lua('return vim.lsp.log.get_filename()'))
    local logged = log and log:read('*a') or ''
    assert(not logged:find('%[ERROR%]'), logged)
  end, debug.traceback)
  child:quit()
  reference:quit()
  if not ok then
    local last = table.concat(vim.list_slice(pressed, math.max(1, #pressed - 30)), ' ')
    error(('seed %d, key %d, the last ones: %s\n%s'):format(seed, #pressed, last, err), 0)
  end
end

local tests = {}
for _, format in ipairs({ 'unix', 'dos' }) do
  tests[#tests + 1] = { ('%d random keys, %s, seed %d'):format(COUNT, format, SEED), function()
    fuzz(format, SEED)
  end }
end

harness.run(tests)
