// The real program in its sandbox, and what can stand before it.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Starts the program that MINIPROFILE_BINARY names, or builds it, with settings; it ends with the tests. */
export async function startServer(settings = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'miniprofile-client-'));
  let binary = process.env.MINIPROFILE_BINARY;
  if (!binary) {
    binary = join(dir, 'miniprofile');
    execFileSync('go', ['build', '-o', binary, '.'], { cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: 'inherit' });
  }
  const child = spawn(binary, {
    cwd: dir, stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, HOME: dir, MINIPROFILE_LISTEN: '127.0.0.1:0', MINIPROFILE_RATE_LIMITS: 'off', ...settings },
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  after(async () => {
    child.kill();
    await exited;
    rmSync(dir, { recursive: true, force: true });
  });
  let log = '';
  const origin = await new Promise((resolve, reject) => {
    child.stderr.on('data', (text) => {
      log += text;
      const found = /"?graphql"?[=:]"?(http:\/\/[^"\s]+)\/graphql/.exec(log);
      if (found) resolve(found[1]);
    });
    exited.then(() => reject(new Error(`the server ended:\n${log}`)));
  });
  const schema = await (await fetch(`${origin}/schema.graphql`)).text();
  /** Whether the program has a field with arguments of this name. */
  const knows = (name) => schema.includes(`${name}(`);
  return { origin, url: `${origin}/graphql`, knows, log: () => log };
}

/** Asks the server directly, past all clients. */
export async function ask(url, query, variables, token) {
  const response = await fetch(url, {
    method: 'POST', body: JSON.stringify({ query, variables }),
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
  });
  return response.json();
}

/** Stands before the real program under another origin, as the proxy of a development server does; asked are the requests. */
export async function startProxy(real) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    asked.push(body.toString());
    const { host, connection, 'content-length': length, ...headers } = request.headers;
    const answer = await fetch(real.origin + request.url, { method: request.method, headers, body });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') }).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => { server.close(); server.closeAllConnections(); });
  return { origin: `http://127.0.0.1:${server.address().port}`, asked };
}

/**
 * Stands before the real program and answers what it may not know yet: createAvatarUpload, a bucket for it, the
 * avatarUploadId of updateProfile, and bindPhoneNumber. Everything else passes through.
 */
export async function startAhead(real) {
  const ahead = { url: '', uploads: new Map(), bucketStatus: 204, received: [], phones: [] };
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const json = (value) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const type = request.headers['content-type'] || '';
    if (request.url === '/bucket') {
      const form = await new Response(body, { headers: { 'content-type': type } }).formData();
      ahead.received.push({ headers: request.headers, form });
      if (ahead.bucketStatus < 300) ahead.uploads.set(form.get('key'), form.get('file'));
      response.writeHead(ahead.bucketStatus).end(ahead.bucketStatus < 300 ? '' : '<Error><Code>AccessDenied</Code></Error>');
      return;
    }
    const { query, variables: { input } = {} } = type.startsWith('application/json') ? JSON.parse(body.toString()) : {};
    const operation = /(?:query|mutation) (\w+)/.exec(query || '')?.[1];
    const token = /^Bearer (.*)/.exec(request.headers.authorization || '')?.[1];
    if (operation === 'createAvatarUpload' || operation === 'bindPhoneNumber') {
      const fields = /user (\{[\s\S]*\}) \} \}$/.exec(query)?.[1] || '{ id }';
      const who = await ask(real.url, `{ me ${fields} }`, {}, token);
      if (who.errors) return json({ data: null, errors: who.errors });
      if (operation === 'bindPhoneNumber') {
        ahead.phones.push(input.code);
        return json({ data: { bindPhoneNumber: { user: who.data.me } } });
      }
      const id = `incoming/${ahead.uploads.size}-${Math.random()}`;
      return json({ data: { createAvatarUpload: {
        id, url: ahead.url.replace('/graphql', '/bucket'), fileField: 'file',
        fields: [{ name: 'key', value: id }, { name: 'policy', value: 'a policy' }, { name: 'Content-Type', value: input.contentType }],
      } } });
    }
    if (input?.avatarUploadId) {
      const form = new FormData();
      const { avatarUploadId, ...rest } = input;
      form.append('operations', JSON.stringify({ query, variables: { input: { ...rest, avatar: null } } }));
      form.append('map', '{"0":["variables.input.avatar"]}');
      form.append('0', ahead.uploads.get(avatarUploadId), 'picture');
      const answer = await fetch(real.url, { method: 'POST', body: form, headers: { authorization: `Bearer ${token}` } });
      return json(await answer.json());
    }
    const { host, connection, 'content-length': length, ...headers } = request.headers;
    const answer = await fetch(real.origin + request.url, { method: request.method, headers, body });
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type'), date: answer.headers.get('date') });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => { server.close(); server.closeAllConnections(); });
  ahead.url = `http://127.0.0.1:${server.address().port}/graphql`;
  return ahead;
}
