-- Strings, tables and JSON inside the server's Lua.
local parts = {}
for i = 1, 20000 do
    parts[i % 500 + 1] = (parts[i % 500 + 1] or "") .. tostring(i)
end
local text = cjson.encode(parts)
return redis.sha1hex(text .. #cjson.decode(text) .. #cmsgpack.pack(parts))
