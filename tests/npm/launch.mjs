// The sign-in of an EHR that launches apps, by oidc-provider: its authorization endpoint, login and consent pages, codes,
// PKCE, tokens and id_tokens. Ours is what makes it SMART: the launch context in the token response (`launch` is the
// patient's id, or PATIENT.ENCOUNTER), `fhirUser` (who signs in is their own reference), and reads of what it was given.
//   node launch.mjs '{"redirectUri": …, "jwks": …, "secret": …, "resources": [{…}]}'   prints its port; of each line on
//   stdin: `seen` prints what was called, with the status that it got; `forget` makes every grant worthless
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

console.warn = console.info = () => {};
const { redirectUri, jwks, secret, resources } = JSON.parse(process.argv[2]);
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const kept = Object.fromEntries(resources.map((one) => [`/fhir/${one.resourceType}/${one.id}`, one]));
const SCOPES = ['openid', 'fhirUser', 'launch', 'launch/patient', 'online_access', 'patient/Patient.r', 'patient/Encounter.r'];
const seen = [];
const launches = new Map(); // grant → the `launch` that it was given for
const grants = new Set();
let provider;

function client(client_id, token_endpoint_auth_method, more = {}) {
  return {
    client_id,
    token_endpoint_auth_method,
    redirect_uris: [redirectUri],
    response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token'],
    scope: SCOPES.join(' '),
    ...more,
  };
}

async function fhir(request) {
  const { issuer } = provider;
  if (request.url === '/fhir/.well-known/smart-configuration') {
    const response = await fetch(`${issuer}/.well-known/openid-configuration`);
    const { authorization_endpoint, token_endpoint, jwks_uri, grant_types_supported } = await response.json();
    return [200, {
      issuer,
      authorization_endpoint,
      token_endpoint,
      jwks_uri,
      grant_types_supported,
      authorization_response_iss_parameter_supported: true,
      code_challenge_methods_supported: ['S256'],
      capabilities: ['launch-ehr', 'launch-standalone', 'client-public', 'client-confidential-symmetric',
        'client-confidential-asymmetric', 'sso-openid-connect', 'context-ehr-patient', 'permission-online', 'permission-v2'],
    }];
  }
  const token = await provider.AccessToken.find((request.headers.authorization ?? '').replace(/^Bearer /, ''));
  if (!token) return [401, {}];
  const [, , type] = request.url.split('/');
  if (!token.scopes.has(`patient/${type}.r`)) return [403, {}];
  return kept[request.url] ? [200, kept[request.url]] : [404, {}];
}

const server = createServer(async (request, response) => {
  response.on('finish', () => seen.push([request.method, request.url.split('?')[0].replace(/\/(interaction|auth)\/.+/, '/$1'), response.statusCode]));
  if (!request.url.startsWith('/fhir')) return provider.callback()(request, response);
  const [status, found] = await fhir(request);
  response.writeHead(status, { 'content-type': 'application/fhir+json' });
  response.end(JSON.stringify(found));
});

server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const base = `http://127.0.0.1:${port}`;
  provider = new Provider(base, {
    clients: [
      client('public-app', 'none'),
      client('secret-app', 'client_secret_basic', { client_secret: secret }),
      client('key-app', 'private_key_jwt', { jwks }),
    ],
    scopes: SCOPES,
    claims: { openid: ['sub'], fhirUser: ['fhirUser'] },
    conformIdTokenClaims: false,
    extraParams: ['aud', 'launch'],
    pkce: { required: () => true },
    enabledJWA: { clientAuthSigningAlgValues: ['RS384', 'ES384'] },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId, fhirUser: `${base}/fhir/${accountId}` }) }),
    issueRefreshToken: (_, __, code) => code.scopes.has('online_access'),
    ttl: { AccessToken: 300, IdToken: 3600, AuthorizationCode: 60, Interaction: 600, Session: 600, Grant: 600, RefreshToken: 600 },
    cookies: { keys: ['a test'] },
  });
  provider.on('authorization.success', ({ oidc }) => {
    grants.add(oidc.entities.Grant.jti);
    launches.set(oidc.entities.Grant.jti, oidc.params.launch ?? 'p1');
  });
  provider.use(async (ctx, next) => {
    await next();
    const { AuthorizationCode, RefreshToken } = ctx.oidc?.entities ?? {};
    const grant = (AuthorizationCode ?? RefreshToken)?.grantId;
    if (ctx.oidc?.route !== 'token' || !ctx.body?.access_token) return;
    const [patient, encounter] = launches.get(grant).split('.');
    Object.assign(ctx.body, { patient }, encounter && { encounter });
  });
  say(port);
});

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'forget') for (const one of grants) await (await provider.Grant.find(one))?.destroy();
  say(line === 'seen' ? seen.splice(0) : 'done');
}
process.exit(0);
