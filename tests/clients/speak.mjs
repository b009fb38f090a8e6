// The same client on Node's `ws`: node speak.mjs URL say|hear plain|deflate
import { createHash, randomBytes } from 'node:crypto'
import WebSocket from 'ws'

const SIZES = [0, 1, 2, 125, 126, 127, 1000, 65_534, 65_535, 65_536]
const END = 'that was all'

function say (peer) {
  peer.send('Grüße, 世界, 🦀')
  for (const size of SIZES) {
    peer.send('abcdefg '.repeat(size / 8 + 1).slice(0, size))
    peer.send(randomBytes(size))
    peer.send(Buffer.alloc(size))
  }
  peer.send('in ', { fin: false })
  peer.send('three ', { fin: false })
  peer.send('fragments', { fin: true })
  peer.send(END)
}

const [url, role, compression] = process.argv.slice(2)
const options = compression === 'deflate' ? { perMessageDeflate: { threshold: 0 } } : { perMessageDeflate: false }
const peer = new WebSocket(url, options)
const digest = createHash('sha256')
let count = 0
peer.on('upgrade', response => {
  const offer = response.headers['sec-websocket-extensions'] ?? 'none'
  peer.on('open', () => {
    console.log(`ready ${offer}`)
    if (role === 'say') say(peer)
  })
})
peer.on('message', (data, binary) => {
  if (!binary && data.toString() === END) return peer.ping()
  digest.update(`${binary ? 'binary' : 'text'} ${data.length}\n`).update(data)
  count += 1
})
peer.on('pong', () => peer.close(1000))
peer.on('close', code => {
  if (code !== 1000) throw new Error(`closed with ${code}`)
  console.log(`heard ${count} ${digest.digest('hex')}`)
})
