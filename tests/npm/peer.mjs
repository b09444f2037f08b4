// Medplum's MLLP server and client, driven by test_mllp_strangers.py and bench_mllp.py.
//   node peer.mjs serve        prints its port, then each message that comes, as JSON, one a line; answers AA
//   node peer.mjs answer       the same, without a word of the messages: for the bench
//   node peer.mjs send PORT    sends the message on stdin; prints the answer as JSON
import { createServer } from 'node:net';
import { Hl7Message } from '@medplum/core';
import { Hl7Client, Hl7Server } from '@medplum/hl7';

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');

async function stdin() {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  return Buffer.concat(parts).toString('utf-8');
}

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

if (process.argv[2] !== 'send') {
  const quiet = process.argv[2] === 'answer';
  const server = new Hl7Server((connection) => {
    connection.addEventListener('message', ({ message }) => {
      if (!quiet) say(message.toString());
      connection.send(message.buildAck());
    });
  });
  const port = await freePort();
  await server.start(port);
  say(port);
  await stdin(); // until who started it goes away
  process.exit(0);
} else {
  const client = new Hl7Client({ host: '127.0.0.1', port: Number(process.argv[3]) });
  const answer = await client.sendAndWait(Hl7Message.parse(await stdin()));
  say(answer.toString());
  await client.close();
}
