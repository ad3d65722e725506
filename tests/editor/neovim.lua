-- Drives the language server from headless Neovim, 0.7 or newer, and writes what Neovim shows.
-- Environment: SERVER (JSON list), FILE (the test to open), ANSWER (where the JSON goes).
local answer = {}
local file = vim.fn.fnamemodify(vim.env.FILE, ':p')
local patience_ms = 20000

local function shown(buffer)
  local list = {}
  for _, d in ipairs(vim.diagnostic.get(buffer)) do
    local line = vim.api.nvim_buf_get_lines(buffer, d.lnum, d.lnum + 1, true)[1]
    table.insert(list, {
      line = d.lnum + 1,
      -- Neovim counts bytes, whatever the server counts: this is the text it underlines.
      text = line:sub(d.col + 1, d.end_col),
      code = d.code,
      source = d.source,
      severity = vim.diagnostic.severity[d.severity],
      message = d.message,
    })
  end
  table.sort(list, function(a, b) return a.line < b.line end)
  return list
end

local function run()
  vim.cmd('edit ' .. vim.fn.fnameescape(file))
  local buffer = vim.api.nvim_get_current_buf()
  local id = vim.lsp.start_client({
    name = 'difftest',
    cmd = vim.fn.json_decode(vim.env.SERVER),
    root_dir = vim.fn.fnamemodify(file, ':h'),
  })
  assert(id, 'the client did not start')
  vim.lsp.buf_attach_client(buffer, id)
  assert(vim.wait(patience_ms, function() return #vim.diagnostic.get(buffer) > 0 end, 10), 'no diagnostics')
  local client = vim.lsp.get_client_by_id(id)
  answer.opened = shown(buffer)

  -- What `vim.lsp.buf.code_action()` asks for with the cursor on the first diagnostic.
  vim.diagnostic.goto_next({ cursor_position = { 1, 0 }, float = false })
  local params = vim.lsp.util.make_range_params()
  params.context = { diagnostics = {} }
  local answers = vim.lsp.buf_request_sync(buffer, 'textDocument/codeAction', params, patience_ms)
  local actions = answers and answers[id] and answers[id].result or {}
  answer.titles = vim.tbl_map(function(action) return action.title end, actions)
  local before = #vim.diagnostic.get(buffer)
  vim.lsp.util.apply_workspace_edit(actions[1].edit, client.offset_encoding)
  vim.wait(patience_ms, function() return #vim.diagnostic.get(buffer) < before end, 10)
  answer.fixed = shown(buffer)

  -- A person types a line above: everything moves down.
  vim.api.nvim_buf_set_lines(buffer, 0, 0, false, { '# 🎨' })
  local moved = answer.fixed[1].line + 1
  vim.wait(patience_ms, function()
    local now = vim.diagnostic.get(buffer)[1]
    return now and now.lnum + 1 == moved
  end, 10)
  answer.typed = shown(buffer)

  vim.lsp.stop_client(id)
  answer.stopped = vim.wait(patience_ms, function() return client.is_stopped() end, 10)
end

local ok, problem = pcall(run)
if not ok then answer.problem = tostring(problem) end
vim.fn.writefile({ vim.fn.json_encode(answer) }, vim.env.ANSWER)
vim.cmd('qa!')
