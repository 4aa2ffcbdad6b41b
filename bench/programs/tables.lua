-- Tables, closures and strings: queens by backtracking, words counted, trees built and dropped.
local scale = tonumber(arg[1])

local function queens(n)
  local found, row, rising, falling = 0, {}, {}, {}
  local function place(c, board)
    if c > n then
      found = found + 1
      return
    end
    for r = 1, n do
      if not row[r] and not rising[r + c] and not falling[r - c + n] then
        row[r], rising[r + c], falling[r - c + n] = true, true, true
        local copy = { table.unpack(board) }
        copy[#copy + 1] = { column = c, row = r }
        place(c + 1, copy)
        row[r], rising[r + c], falling[r - c + n] = nil, nil, nil
      end
    end
  end
  place(1, {})
  return found
end

local function tree(depth)
  if depth == 0 then return { label = "leaf" .. depth } end
  return { left = tree(depth - 1), right = tree(depth - 1) }
end

for round = 1, math.max(1, math.floor(10 * scale)) do
  queens(8)
  local words = {}
  for i = 1, 60000 do
    local word = string.format("w%x", (i * 2654435761) % 20011)
    words[word] = (words[word] or "") .. "x"
    if #words[word] > 20 then words[word] = nil end
  end
  tree(15)
end
