// A real OpenID Connect provider for tests: node provider.mjs PORT KEYS CLIENT_KEYS
// KEYS: its own signing keys, CLIENT_KEYS: the public keys of the backend service, both as JWKS.
import Provider from "oidc-provider";

const [port, keys, clientKeys] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const audience = "https://records.example";
const everyScope = "user/*.rs system/*.rs";

const staffClaims = {
  "extensions": {
    "ihe_iua": {
      "subject_organization_id": "ZZH01",
      "subject_role": [{ "system": "urn:roles", "code": "R8001" }],
      "purpose_of_use": [{ "system": "urn:oid:2.16.840.1.113883.5.8", "code": "TREAT" }],
    },
  },
};

const provider = new Provider(issuer, {
  jwks: JSON.parse(keys),
  clients: [
    {
      client_id: "app",
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "none",
      application_type: "native",
      grant_types: ["authorization_code"],
      response_types: ["code"],
      redirect_uris: ["http://127.0.0.1/callback"],
    },
    {
      client_id: "backend",
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
      jwks: JSON.parse(clientKeys),
    },
  ],
  scopes: ["openid"],
  claims: { openid: ["sub"] },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: everyScope,
        audience,
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
  extraTokenClaims: (_, token) => (token.accountId ? staffClaims : undefined),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: ["a key for tests only"] },
  ttl: { AccessToken: 600, ClientCredentials: 600 },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
