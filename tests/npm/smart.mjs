// SMART's own client for JavaScript (fhirclient) at our FHIR endpoint: told where, with which token, it makes accounts,
// reads one, pages through all, follows a reference, and asks for what it may not see.
import smart from 'fhirclient';
import { createInterface } from 'node:readline';

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const use = async ({ serverUrl, token, accounts, reference, beyond }) => {
  const client = smart({ url: '/', headers: {} }, {}, {}).client({ serverUrl, tokenResponse: { access_token: token } });
  const made = [];
  for (const account of accounts) {
    made.push(await client.create(account));
  }
  const pages = [];
  await client.request('Account?_count=1', { pageLimit: 0, onPage: (page) => pages.push(page.total) });
  const found = await client.request('Account?_count=1', { pageLimit: 0, flat: true });
  const followed = await client.request(`Account/${made[0].id}`, { resolveReferences: [reference] });
  const refused = await client.request(beyond).then(
    () => 0,
    (error) => error.status ?? error.statusCode,
  );
  return {
    version: await client.getFhirVersion(),
    made: made.map((one) => one.id),
    found: found.map((one) => one.id),
    two: (await client.request('Account?_count=1', { pageLimit: 2, flat: true })).length,
    read: await client.request(`Account/${made[0].id}`),
    pages,
    followed,
    refused,
  };
};

say(true);
for await (const line of createInterface({ input: process.stdin })) {
  say(await use(JSON.parse(line)).catch((error) => ({ error: String(error.stack) })));
}
process.exit(0);
