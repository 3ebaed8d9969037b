-- Written by chatmail; changes here are overwritten.
-- Asks doveauth about users, by Dovecot's dict protocol: 2.4 has no passdb and
-- userdb that does. It runs in auth-worker processes, one login at a time in
-- each, so that none waits for another's. What cannot be asked or understood is
-- a temporary failure, and no text from here has a password in it.

local socket = require "socket"
local unix = require "socket.unix"
local auth = dovecot.auth

local DOVEAUTH = "{{ doveauth_socket }}"
local PATIENCE = 30             -- seconds for an answer
local LINE_MAX = 64 * 1024      -- bytes

-- ---- the dict protocol -----------------------------------------------------

local ESCAPED = {
  ["\0"] = "\0010", ["\1"] = "\0011", ["\t"] = "\1t", ["\r"] = "\1r",
  ["\n"] = "\1n",
}
local UNESCAPED = { ["0"] = "\0", ["1"] = "\1", t = "\t", r = "\r", n = "\n" }

local function escape(text)
  return (text:gsub("[\0\1\t\r\n]", ESCAPED))
end

local function unescape(text)
  return (text:gsub("\1(.?)", function(c) return UNESCAPED[c] or c end))
end

-- As %E of 2.3, see auth.conf: a quote without a backslash ends the password.
local function quote(text)
  return (text:gsub("[\"'\\]", "\\%0"))
end

-- A line from its fields.
local function line(...)
  local fields = { ... }
  for i, field in ipairs(fields) do
    fields[i] = escape(field)
  end
  return table.concat(fields, "\t") .. "\n"
end

-- The next line from doveauth, waiting for it, or nil and why not.
local function read_line(link)
  local from = 1
  while true do
    local newline = link.got:find("\n", from, true)
    if newline then
      local text = link.got:sub(1, newline - 1)
      link.got = link.got:sub(newline + 1)
      return text
    end
    if #link.got > LINE_MAX then
      return nil, "a line is too long"
    end
    from = #link.got + 1
    local left = link.deadline - socket.gettime()
    if left <= 0 or not socket.select({ link.peer }, nil, left)[1] then
      return nil, "no answer after " .. PATIENCE .. " s"
    end
    local data, why, part = link.peer:receive(4096)
    data = data or part
    if data == "" and why ~= "timeout" then
      return nil, why
    end
    link.got = link.got .. data
  end
end

-- Call read(link) with a connection on which that request was sent. Returns
-- what read returns, or nil and why. There is a connection for each request, so
-- none is left over from a doveauth that is no more, or with an old answer.
local function ask(request, read)
  local peer = unix.stream()
  local link = { peer = peer, got = "", deadline = socket.gettime() + PATIENCE }
  peer:settimeout(PATIENCE, "t")
  local result
  local ok, why = peer:connect(DOVEAUTH)
  if ok then
    ok, why = peer:send("H" .. line("3", "2", "0", "", "auth") .. request)
  end
  if ok then
    peer:settimeout(0)
    result, why = read(link)
  end
  peer:close()
  return result, why
end

-- ---- the answers -----------------------------------------------------------

local PLAIN = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- The code point of \uXXXX at a place, or of two that are one; where it ends.
local function code_point(text, at)
  local high, after = text:match("^u(%x%x%x%x)()", at)
  if not high then
    return nil
  end
  high = tonumber(high, 16)
  local low, behind = text:match("^\\u([dD][c-fC-F]%x%x)()", after)
  if high >= 0xd800 and high < 0xdc00 and low then
    return 0x10000 + (high - 0xd800) * 1024 + tonumber(low, 16) - 0xdc00, behind
  end
  return high, after
end

-- The JSON string that begins at a place, and where it ends; nil for others.
local function json_string(text, at)
  local parts = {}
  at = text:match('^"()', at)
  while at do
    local plain, after = text:match('^([^"\\%c]*)()', at)
    parts[#parts + 1] = plain
    if text:sub(after, after) == '"' then
      return table.concat(parts), after + 1
    end
    local letter = text:match("^\\([\"\\/bfnrt])", after)
    local code
    if letter then
      parts[#parts + 1] = PLAIN[letter] or letter
      at = after + 2
    elseif text:sub(after, after) == "\\" then
      code, at = code_point(text, after + 1)
      parts[#parts + 1] = code and utf8.char(code)
    else
      at = nil
    end
  end
end

-- A JSON object of strings and whole numbers as a table; nil when it is none.
local function json_object(text)
  local fields, at = {}, text:match("^[{]%s*()")
  while at do
    local name, value, after
    name, at = json_string(text, at)
    at = at and text:match("^%s*:%s*()", at)
    if not at then
      return nil
    end
    value, after = json_string(text, at)
    if not value then
      value, after = text:match("^(-?%d+)()", at)
    end
    if not value then
      return nil
    end
    fields[name] = value
    if text:match("^%s*}%s*$", after) then
      return fields
    end
    at = text:match("^%s*,%s*()", after)
  end
end

-- What doveauth knows for a key: a table; false when it knows no such user; nil
-- and why when it cannot tell.
local function look_up(key, user)
  return ask("L" .. line("shared/" .. key, user), function(link)
    local answer, why = read_line(link)
    if not answer then
      return nil, why
    elseif answer == "N" then
      return false
    elseif answer:sub(1, 1) == "F" then
      return nil, "it has a temporary failure"
    end
    local fields = answer:sub(1, 1) == "O" and
      json_object(unescape(answer:sub(2)))
    if not fields then
      return nil, "its answer is not understood"
    end
    return fields
  end)
end

local function read_users(link)
  local prefix, users = "shared/userdb/", {}
  while true do
    link.deadline = socket.gettime() + PATIENCE
    local row, why = read_line(link)
    if not row then
      return nil, why
    elseif row == "" then
      return users
    elseif row:sub(1, 1) ~= "O" then
      return nil, "it has a temporary failure"
    end
    local key = unescape(row:sub(2):match("^[^\t]*"))
    if key:sub(1, #prefix) == prefix then
      users[#users + 1] = key:sub(#prefix + 1)
    end
  end
end

-- ---- what Dovecot calls ----------------------------------------------------

function auth_password_verify(req, password)
  local key = "passdb/" .. quote(password) .. '"' .. quote(req.user)
  local user, why = look_up(key, req.user)
  if user == false then
    return auth.PASSDB_RESULT_USER_UNKNOWN
  end
  local same, problem
  if user and user.password then
    same, problem = req:password_verify(user.password, password)
  end
  if same == 1 then
    return auth.PASSDB_RESULT_OK, {}
  -- the problem then is that, or a hash of a kind that Dovecot does not know
  elseif same == 0 and not (problem or ""):find("scheme", 1, true) then
    return auth.PASSDB_RESULT_PASSWORD_MISMATCH
  end
  return auth.PASSDB_RESULT_INTERNAL_FAILURE,
    "doveauth: " .. (why or problem or "no password that can be compared")
end

function auth_userdb_lookup(req)
  local user, why = look_up("userdb/" .. quote(req.user), req.user)
  if user == false then
    return auth.USERDB_RESULT_USER_UNKNOWN
  elseif not user then
    return auth.USERDB_RESULT_INTERNAL_FAILURE, "doveauth: " .. why
  end
  return auth.USERDB_RESULT_OK,
    { home = user.home, uid = user.uid, gid = user.gid }
end

-- For doveadm; an error when they cannot be told.
function auth_userdb_iterate()
  local request = "I" .. line("0", "0", "shared/userdb/", "")
  local users, why = ask(request, read_users)
  if not users then
    error("doveauth: " .. why, 0)
  end
  return users
end

function script_init()
  return 0
end
