# What ruby programs do, with output that depends on nothing but this file.
require 'digest'
require 'json'
require 'openssl'
require 'set'
require 'stringio'
require 'zlib'
$stdout.sync = true
$random = Random.new(17)
def word(most = 12) = Array.new(1 + $random.rand(most)) { (97 + $random.rand(26)).chr }.join
def digest(text) = Digest::SHA256.hexdigest(text)

words = Array.new(200_000) { word }
count = words.tally
puts "words #{count.size} #{count.sort_by { |w, n| [-n, w] }.first(5)}"
count.delete_if { |w, _| w.size.odd? }
puts digest(count.keys.sort.join(' '))
text = words.join(' ')
puts "regex #{text.scan(/\b(\w)\w*\1\b/).size} #{digest(text.gsub(/(\w+) (\w+)/, '\2 \1').tr('a-m', 'n-z'))}"
data = words.each_slice(50).map { |some| { 'words' => some, 'sum' => some.sum(&:size), 'more' => some.to_h { |w| [w, w * 3] } } }
json = JSON.generate(data)
puts "json #{json.size} #{JSON.parse(json) == data} #{digest(Marshal.dump(Marshal.load(Marshal.dump(data))))}"
data = nil
GC.start
GC.compact if GC.respond_to?(:compact)
wide = Array.new(100_000) { (0x100 + $random.rand(0x2000)).chr('UTF-8') }.join
puts "wide #{digest(wide.swapcase.encode('UTF-16LE'))} #{wide.unicode_normalize(:nfkd).size}"
puts "big #{digest((1..3000).inject(:*).to_s)} #{(7**5000 % 10**50)} #{Rational(1, 3)**100}"
puts "zlib #{digest(Zlib.inflate(Zlib.deflate(json)))} #{digest(Zlib.gunzip(Zlib.gzip(json)))}"
cipher = OpenSSL::Cipher.new('aes-256-cbc').encrypt
cipher.key = 'k' * 32
cipher.iv = 'i' * 16
puts "cipher #{digest(cipher.update(json) + cipher.final)}"
buffer = StringIO.new
20_000.times { |i| buffer << i << word; buffer.truncate(buffer.rewind) if buffer.size > 5000 }
closures = Array.new(20_000) { |n| own = [n] * (n % 50); -> { own.sum + n } }
puts "closures #{closures.sum(&:call)}"
closures = nil
20.times do |n|
  reader, writer = IO.pipe
  pid = fork do
    reader.close
    writer.puts digest(words[n * 1000, 1000].map { |w| w * n }.join)
    writer.close
    exit! n
  end
  writer.close
  puts reader.read
  puts Process.wait2(pid)[1].exitstatus
end
threads = Array.new(8) { |n| Thread.new { words[n * 1000, 5000].to_set.map { |w| w.reverse + n.to_s }.sort.last } }
puts "threads #{threads.map(&:value)}"
puts "ractor #{Ractor.new(words[0, 5000].map(&:dup)) { |some| some.map(&:upcase).max }.take}"
fibers = Array.new(500) { |n| Fiber.new { 5.times { |i| Fiber.yield(words[n + i] * 5) } } }
puts "fibers #{fibers.sum { |f| f.resume.size + f.resume.size }}"
puts "errors #{(1..5000).count { |n| begin; raise ArgumentError, word(100); rescue ArgumentError => e; e.message.size > 50; end }}"
puts "eval #{(1..500).sum { |n| eval("class C#{n}; def m; #{n}; end; end; C#{n}.new.m") }}"
puts "shell #{%x(echo from a shell)}"
