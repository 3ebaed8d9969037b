-- Runs in lmtp for each stored message: tells chatmail's metadata service,
-- which wakes the user's devices.

function dovecot_lua_notify_begin_txn(user)
  return user
end

function dovecot_lua_notify_event_message_new(user, event)
  local mailbox = user:mailbox(event.mailbox)
  mailbox:sync()
  -- one's own messages come back for the other devices; these wake nobody
  if event.from_address ~= user.username then
    mailbox:metadata_set("/private/messagenew", "")
  end
  mailbox:free()
end

function dovecot_lua_notify_end_txn(user, success)
end
