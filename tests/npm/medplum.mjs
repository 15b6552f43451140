// Reads a whole record with @medplum/core, unmodified: node medplum.mjs BASE TOKEN PERSON
import { MedplumClient } from "@medplum/core";

const [base, token, person] = process.argv.slice(2);
const url = new URL(base);
const client = new MedplumClient({
  baseUrl: `${url.origin}/`,
  fhirUrlPath: url.pathname.replace(/^\/|\/$/g, ""),
  accessToken: token,
  fetch,
});
client.setAccessToken(token);

const patient = await client.readResource("Patient", person);
const whole = [];
let page = await client.readPatientEverything(person);
for (;;) {
  whole.push(...(page.entry ?? []));
  const next = (page.link ?? []).find((link) => link.relation === "next");
  if (!next) break;
  page = await client.get(next.url);
}
const found = await client.searchResources("AllergyIntolerance", { patient: `Patient/${person}` });
const allergies = found.filter((one) => one.resourceType === "AllergyIntolerance");
const kinds = {};
for (const entry of whole) {
  const kind = entry.resource.resourceType;
  kinds[kind] = (kinds[kind] ?? 0) + 1;
}
console.log(JSON.stringify({ patient, kinds, allergies: allergies.map((one) => one.code.text) }));
