-- The :PhiLs command. Nothing else runs until setup() is called.

if vim.g.loaded_phi_ls then
  return
end
vim.g.loaded_phi_ls = true

vim.api.nvim_create_user_command('PhiLs', function(args)
  require('phi-ls.command').run(args.fargs, args.range > 0 and { args.line1, args.line2 } or nil)
end, {
  nargs = '*',
  range = true,
  desc = 'phi-ls: completions on and off, questions about code, models, the server',
  complete = function(lead, line)
    return require('phi-ls.command').complete(lead, line)
  end,
})
