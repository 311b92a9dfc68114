// That results are typed, as those who use TypeScript rely on. It is compiled, never run.
import { createClient, ClientError, Profile, Session } from './lib/index';

const client = createClient({ url: 'https://api.example.com/graphql' });

export async function uses(): Promise<void> {
  const user: Profile = await client.me();
  const status: 'PENDING' | 'ACCEPTED' | undefined = user.avatar?.status;
  const { created }: { created: boolean } = await client.login();
  await client.login({ fresh: true });
  await client.bindPhoneNumber({ code: 'c', move: true, consent: { scopes: ['PHONE'], purpose: 'delivery', policyVersion: '1' } });
  // @ts-expect-error: a client has an address
  createClient({});
  await client.updateProfile({ nickname: null, gender: 'OTHER', avatar: 'wxfile://tmp_1' }, { onProgress: (p) => p.progress.toFixed() });
  // @ts-expect-error: not a gender
  await client.updateProfile({ gender: 'X' });
  // @ts-expect-error: not a field
  await client.updateProfile({ nick: 'x' });
  const { me } = await client.query<{ me: { sessions: Session[] } }>('{ me { sessions { id } } }');
  const call = client.setAvatar('wxfile://tmp_1');
  call.abort();
  const stop: () => void = client.on('error', (e: ClientError) => e.retryAfter);
  client.on('session', (change) => { if (change.reason === 'login') change.user.id.trim(); });
  stop();
  const { ended }: { ended: number } = await client.logout({ everywhere: true });
  console.log(status, created, me.sessions[0].device, ended);
}
