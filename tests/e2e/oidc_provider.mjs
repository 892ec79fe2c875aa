// A real authorization server for the end-to-end tests: `oidc-provider` on a free loopback port.
//
//     node oidc_provider.mjs NODE_MODULES '{"accessTokenSeconds": 3600, "issuerSlash": false}'
//
// `defaults` below lists the settings. Prints one JSON line when it listens, and ends when its
// standard input ends.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const defaults = {
  accessTokenSeconds: 3600,
  issuerSlash: false,
  device: false, // RFC 8628
  documents: null, // client ID metadata documents: https URL -> where on this machine it is served
  dpop: 'off', // RFC 9449: 'off', 'on', or 'nonce' when each proof must carry one
  management: false, // RFC 7592
  pushed: 'off', // RFC 9126: 'off', 'offered', 'required'
};
const [, , nodeModules, given] = process.argv;
const settings = { ...defaults, ...JSON.parse(given ?? '{}') };

console.info = console.error; // its notices; standard output carries our one line
const library = createRequire(join(nodeModules, 'x.js')).resolve('oidc-provider');
const { Provider, errors } = await import(pathToFileURL(library));

const introspector = { id: 'mcp-server', secret: randomBytes(24).toString('base64url') };

function resourceServer(ctx, resource) {
  if (new URL(resource).hostname !== '127.0.0.1') throw new errors.InvalidTarget();
  return {
    audience: resource,
    scope: 'mcp:use',
    accessTokenFormat: 'opaque',
    accessTokenTTL: settings.accessTokenSeconds,
  };
}

// The server's own guard refuses loopback, so its fetch goes where the test says and nowhere else.
function fetchDocument(url, { headers, signal }) {
  const local = settings.documents?.[String(url)];
  if (!local) throw new Error(`not served here: ${url}`);
  return fetch(local, { headers, signal, redirect: 'manual' });
}

function configuration() {
  const { accessTokenSeconds, device, documents, dpop, management, pushed } = settings;
  return {
    clients: [{
      client_id: introspector.id,
      client_secret: introspector.secret,
      grant_types: [],
      response_types: [],
      redirect_uris: [],
    }],
    cookies: { keys: [randomBytes(24).toString('base64url')] },
    expiresWithSession: () => false,
    features: {
      clientIdMetadataDocument: { enabled: documents !== null, ack: 'draft-02' },
      dPoP: {
        enabled: dpop !== 'off',
        nonceSecret: randomBytes(32),
        requireNonce: () => dpop === 'nonce',
      },
      devInteractions: { enabled: true },
      deviceFlow: { enabled: device },
      introspection: { enabled: true },
      pushedAuthorizationRequests: {
        enabled: pushed !== 'off',
        requirePushedAuthorizationRequests: pushed === 'required',
      },
      registration: { enabled: true },
      registrationManagement: { enabled: management },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: resourceServer,
        useGrantedResource: () => true, // a refresh need not repeat the resource (RFC 8707 §2.2)
      },
      revocation: { enabled: true },
    },
    fetch: fetchDocument,
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    pkce: { required: () => true },
    rotateRefreshToken: true, // a used refresh token that comes again revokes its grant
    ttl: { AccessToken: accessTokenSeconds },
  };
}

let answer; // the issuer holds the port, so the port comes first
const server = createServer((request, response) => answer(request, response));
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}${settings.issuerSlash ? '/' : ''}`;
  answer = new Provider(issuer, configuration()).callback();
  console.log(JSON.stringify({ issuer, introspector }));
});

process.stdin.resume().on('end', () => process.exit());
