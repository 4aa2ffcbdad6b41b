set pagination off
set confirm off
set debuginfod enabled off
set width 0
set print thread-events off
set print pretty on
set style enabled off
break depth if tree.value == 19
catch throw
run
backtrace 40
print tree
up 5
print tree
info locals
ptype tree
watch watched
continue
continue
delete 3
info line
python
import gdb
text = []
for i in range(20000):
    text.append(str(gdb.parse_and_eval("watched + %d" % i)))
print(len("".join(text)))
print(gdb.lookup_type("Tree<int>").sizeof, [f.name for f in gdb.lookup_type("Tree<int>").fields()])
end
info functions depth
generate-core-file core
continue
continue
info types Tree
disassemble main,+20
core-file core
backtrace 3
print watched
