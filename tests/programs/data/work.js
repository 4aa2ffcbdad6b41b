// What node programs do, with output that depends on nothing but this file.
const { createHash, createCipheriv, pbkdf2Sync, generateKeyPairSync, createSign, createVerify } = require('crypto');
const { spawnSync } = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');
const fs = require('fs');
const http = require('http');
const vm = require('vm');

let seed = 13;
const pseudo = (below) => { seed = (seed * 1103515245 + 12345) % 2 ** 31; return Math.floor(seed / 65536) % below; };
const text = (length) => Array.from({ length }, () => String.fromCharCode(97 + pseudo(26))).join('');
const digest = (data) => createHash('sha256').update(data).digest('hex');

function fill() {
  const buffers = [];
  for (let i = 0; i < 30000; i++) {
    buffers.push(Buffer.from(text(pseudo(50))), Buffer.alloc(4000 + pseudo(9000), i));
    if (buffers.length > 500) buffers.splice(pseudo(400), 100);
  }
  return digest(Buffer.concat(buffers));
}

async function main() {
  console.log('buffers', fill());
  const words = Array.from({ length: 100000 }, () => text(1 + pseudo(10)));
  const count = new Map();
  for (const word of words) count.set(word, (count.get(word) || 0) + 1);
  console.log('words', [...count].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5).join());
  const long = words.join(' ');
  console.log('regex', long.match(/\b(\w)\w*\1\b/g).length, digest(long.replace(/(\w+) (\w+)/g, '$2 $1')));
  const json = JSON.stringify(words.map((word, i) => ({ word, i, nested: { list: [i, word.length] } })));
  console.log('json', json.length, digest(JSON.stringify(JSON.parse(json))));
  for (const [pack, unpack] of [['gzipSync', 'gunzipSync'], ['deflateRawSync', 'inflateRawSync'], ['brotliCompressSync', 'brotliDecompressSync']]) {
    const options = pack[0] === 'b' ? { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } } : {};
    console.log(pack, digest(zlib[unpack](zlib[pack](json, options))));
  }
  const key = pbkdf2Sync('password', 'salt', 2000, 32, 'sha512');
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
  console.log('cipher', digest(Buffer.concat([cipher.update(json), cipher.final(), cipher.getAuthTag()])));
  for (const [kind, options] of [['rsa', { modulusLength: 2048 }], ['ec', { namedCurve: 'P-256' }]]) {
    const pair = generateKeyPairSync(kind, options);
    const signature = createSign('sha256').update(long).sign(pair.privateKey);
    console.log(kind, createVerify('sha256').update(long).verify(pair.publicKey, signature));
  }
  for (let i = 0; i < 100; i++) vm.runInNewContext(`x = ${i}; y = [${i}].map(v => v + x)`, {});
  const sums = await Promise.all([1, 2, 3, 4].map((number) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: number });
    worker.on('message', resolve);
    worker.on('error', reject);
  })));
  console.log('workers', sums.join());
  for (let i = 0; i < 5; i++) {
    const child = spawnSync(process.execPath, ['-e', `process.stdout.write('x'.repeat(${i} * 100000)); process.exitCode = ${i}`]);
    console.log('child', child.status, child.signal, child.stdout.length);
  }
  const server = http.createServer((request, response) => request.pipe(response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const echo = (body) => new Promise((resolve, reject) => {
    const request = http.request({ port: server.address().port, host: '127.0.0.1', method: 'POST' }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts)));
    });
    request.on('error', reject);
    request.end(body);
  });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => echo(long.slice(0, i * 1000))));
  console.log('http', digest(Buffer.concat(answers)));
  server.close();
  fs.writeFileSync('file', json);
  const stream = fs.createReadStream('file').pipe(zlib.createGzip()).pipe(zlib.createGunzip());
  const hash = createHash('sha256');
  for await (const part of stream) hash.update(part);
  console.log('streams', hash.digest('hex'));
  const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
  console.log('wasm', (await WebAssembly.instantiate(wasm)).instance.exports.add(40, 2));
}

if (isMainThread) main();
else {
  seed = workerData;
  parentPort.postMessage(digest(zlib.inflateSync(zlib.deflateSync(fill()))).slice(0, 8));
}
