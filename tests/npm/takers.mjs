// Three FHIR servers in one process, for test_lost_answers.py: each can one thing less than the one before, and refuses
// what it can't. What stores and looks up is Medplum's (medplum.mjs).
//   node takers.mjs            prints its port; at /<kind>/… stands the server of that kind
//   a line `<kind>` on stdin   prints all that this server has: [id, identifier.value] of each; `new <kind>` empties it
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { body, Fhir, OPERATION_OUTCOME, reply, statement } from './medplum.mjs';

const CAN = {
  'put': { codes: ['read', 'create', 'update', 'search-type'], updateCreate: true, conditionalCreate: true },
  'if-none-exist': { codes: ['read', 'create', 'search-type'], conditionalCreate: true },
  'blind': { codes: ['create'] },
};
const servers = Object.fromEntries(Object.keys(CAN).map((kind) => [kind, new Fhir()]));

function offered({ codes, conditionalCreate }, { method, headers }, id) {
  if (method === 'PUT') return codes.includes('update');
  if (method === 'POST') return conditionalCreate || !headers['if-none-exist'];
  return codes.includes(id ? 'read' : 'search-type');
}

async function answer(request) {
  const [, kind, rest] = /^\/([\w-]+)(\/.*)$/.exec(request.url);
  if (rest === '/metadata') return [200, statement(CAN[kind])];
  const [, id] = rest.split('?')[0].split('/').filter(Boolean);
  if (!offered(CAN[kind], request, id)) return [405, OPERATION_OUTCOME];
  return servers[kind].answer(request.method, rest, request.headers, await body(request));
}

const server = createServer(async (request, response) => {
  try {
    reply(response, ...(await answer(request)));
  } catch { // the request broke off
    response.destroy();
  }
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));

for await (const line of createInterface({ input: process.stdin })) {
  const kind = line.replace('new ', '');
  if (line !== kind) servers[kind] = new Fhir();
  const there = await servers[kind].repository.search({ resourceType: 'PaymentReconciliation', count: 1_000_000 });
  console.log(JSON.stringify((there.entry ?? []).map(({ resource }) => [resource.id, resource.identifier[0].value])));
}
process.exit(0);
