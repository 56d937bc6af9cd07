// A certified OIDC provider that logs in a given account without asking anybody, for Berth's tests.
//
//   node provider.mjs REDIRECT_URI
//
// Prints its issuer as one line, and ends when its standard input does. Beside the provider's own paths:
//   POST /test/account {"account"}            who is logged in next; "refuse" refuses
//   POST /test/rotate                         a new key instead of the old one
//   POST /test/sign {"claims","header","key"} a token signed with the provider's own key (or its "old" one)
//   GET  /test/counts                         how often discovery and keys were asked for
import http from 'node:http';
import { json } from 'node:stream/consumers';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const [redirect] = process.argv.slice(2);
const API = 'urn:berth:api';
const people = {
  ann: { sub: 'ann-1', preferred_username: 'Ann B', email: 'ann@example.com', email_verified: true, groups: [] },
  root: { sub: 'root-1', preferred_username: 'root', email: 'root@example.com', email_verified: true, groups: ['staff'] },
  boss: { sub: 'boss-1', preferred_username: 'boss', email: 'boss@example.com', email_verified: true, groups: ['staff', 'berth-admins'] },
};
const bySub = (sub) => Object.values(people).find((person) => person.sub === sub);

let account = 'ann';
let generation = 0;
let keys = [];
let issuer;
let provider;
const counts = { discovery: 0, jwks: 0 };

async function rotate() {
  generation += 1;
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true });
  keys = [{ kid: `key-${generation}`, publicKey, privateKey }, ...keys];
  const jwk = { ...(await exportJWK(privateKey)), kid: keys[0].kid, use: 'sig', alg: 'RS256' };
  provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    cookies: { keys: ['the tests need no secret here'] },
    clients: [
      { client_id: 'berth', client_secret: 'a secret of the tests', redirect_uris: [redirect], grant_types: ['authorization_code'] },
      { client_id: 'cli', token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1:1/cli'], application_type: 'native', grant_types: ['authorization_code'] },
    ],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email', 'email_verified'] },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: async () => bySub(sub) }),
    extraTokenClaims: (_ctx, token) => ({ preferred_username: bySub(token.accountId)?.preferred_username, groups: bySub(token.accountId)?.groups }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: 'compute', audience: API, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }),
        useGrantedResource: () => true,
      },
    },
    ttl: { AccessToken: 3600, AuthorizationCode: 60, IdToken: 3600, Interaction: 600, Session: 3600, Grant: 3600 },
  });
}

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (account === 'refuse') {
    return provider.interactionFinished(request, response, { error: 'access_denied' });
  }
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: people[account].sub } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  grant.addResourceScope(API, 'compute');
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

async function control(path, request) {
  switch (path) {
    case '/test/account':
      ({ account } = await json(request));
      return {};
    case '/test/rotate':
      await rotate();
      return {};
    case '/test/sign': {
      const { claims, header = {}, key } = await json(request);
      const signer = key === 'old' ? keys[1] : keys[0];
      const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: signer.kid, ...header }).sign(signer.privateKey);
      return { token };
    }
    case '/test/counts':
      return counts;
    default:
      return null;
  }
}

const server = http.createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  try {
    if (path.startsWith('/test/')) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(await control(path, request)));
    } else if (path.startsWith('/interaction/')) {
      await interact(request, response);
    } else {
      if (path === '/.well-known/openid-configuration') counts.discovery += 1;
      if (path === '/jwks') counts.jwks += 1;
      await provider.callback()(request, response);
    }
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error));
  }
});

server.listen(0, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  await rotate();
  console.log(issuer);
});
process.stdin.resume().on('end', () => process.exit(0));
