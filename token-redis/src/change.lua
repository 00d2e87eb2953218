-- Applies changes in order and publishes the resulting state of each, so that every process learns of all
-- changes in the order in which Redis made them.
--
-- KEYS: one for each change. ARGV: the channel, the length of the prefix, then for each change its kind, its
-- sender, its expiry (milliseconds) and its value: the end of the token's lifetime, a space, the token.
-- A key holds `+` and the value of a token, or `-` and the value of a forgotten one.
for i, key in ipairs(KEYS) do
    local at = 3 + (i - 1) * 4
    local change, sender, expiry, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local kept = redis.call('GET', key)
    local is_token = kept and string.sub(kept, 1, 1) == '+'
    local token = string.match(value, '^%d+ (.*)$')
    local is_same = kept and string.match(kept, '^[+-]%d+ (.*)$') == token

    local now = '+' .. value
    local sets = true
    if change == 'first' and is_token and not is_same then
        now, sets = kept, false
    elseif change == 'known' and kept and not (is_token and is_same) then
        now, sets = kept, false
    elseif change == 'forget' then
        now, sets = '-' .. value, not kept or is_same
    end
    if sets then
        redis.call('SET', key, now, 'PX', expiry)
    end
    local session = string.sub(key, tonumber(ARGV[2]) + 1)
    redis.call('PUBLISH', ARGV[1], sender .. '\n' .. session .. '\n' .. now)
end
