// A SMART EHR of parts that nobody here wrote: tokens by oidc-provider (private_key_jwt, client_credentials), resources by
// Medplum's FHIR router in memory. Ours is what stands between: the routes, who may do what, the CapabilityStatement.
//   node ehr.mjs '{"clientId": …, "jwksUri": …, "scopes": […], "algorithms": […]}'   prints its port, then answers each
//   line on stdin: `revoke` makes every token worthless, `seen` prints what was called, with the status that it got
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';
import { body, Fhir, OPERATION_OUTCOME, reply, statement } from './medplum.mjs';

const { clientId, jwksUri, scopes, algorithms = ['RS384', 'ES384'] } = JSON.parse(process.argv[2]);
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const resources = new Fhir();
const seen = [];
const given = new Set();
const revoked = new Set();
let provider;

const LETTERS = { GET: 'r', POST: 'c', PUT: 'u' };
function allowed(scope, type, method, id) {
  const letter = method === 'GET' && !id ? 's' : LETTERS[method];
  return (scope ?? '').split(' ').some((one) => {
    const [, what, letters] = /^system\/(\w+|\*)\.(\w+)$/.exec(one) ?? [];
    return (what === type || what === '*') && letters?.includes(letter);
  });
}

const CAN = { codes: ['read', 'create', 'update', 'search-type'], updateCreate: true, conditionalCreate: true };

async function fhir(request) {
  const url = request.url.slice('/fhir'.length);
  if (url === '/metadata') return [200, statement(CAN)];
  if (url === '/.well-known/smart-configuration') {
    return [200, {
      token_endpoint: `${provider.issuer}/token`,
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
      token_endpoint_auth_signing_alg_values_supported: algorithms,
      capabilities: ['client-confidential-asymmetric', 'permission-v2'],
      code_challenge_methods_supported: ['S256'],
    }];
  }
  const value = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  const token = value && (await provider.ClientCredentials.find(value));
  if (value) given.add(value);
  if (!token || revoked.has(value)) return [401, OPERATION_OUTCOME];
  const [type, id] = url.split('?')[0].split('/').filter(Boolean);
  if (!allowed(token.scope, type, request.method, id)) return [403, OPERATION_OUTCOME];
  return resources.answer(request.method, url, request.headers, await body(request));
}

const server = createServer(async (request, response) => {
  response.on('finish', () => seen.push([request.method, request.url.split('?')[0], response.statusCode]));
  if (!request.url.startsWith('/fhir')) return provider.callback()(request, response);
  reply(response, ...(await fhir(request)));
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{
      client_id: clientId,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: jwksUri,
      scope: scopes.join(' '),
    }],
    scopes: [...scopes, 'system/Account.rs'], // which it knows, and our client isn't registered for
    enabledJWA: { clientAuthSigningAlgValues: algorithms },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    ttl: { ClientCredentials: 300 },
    fetch: (url, { headers }) => fetch(url, { headers }), // its own refuses loopback, where our keys are published here
  });
  say(port);
});

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'revoke') given.forEach((value) => revoked.add(value));
  say(line === 'seen' ? seen.splice(0) : 'done');
}
process.exit(0);
