package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// settings of the server: flags, then environment, then defaults. README.md has
// the same table; a test compares the two.
type settings struct {
	Apps             string        `env:"WECHAT_APPS" placeholder:"APPID:SECRET,…" help:"The mini programs that may log in. The sandbox serves when it is not set."`
	WeChatURL        string        `env:"WECHAT_BASE_URL" name:"wechat-base-url" default:"https://api.weixin.qq.com" placeholder:"URL" help:"Where WeChat's API is; sandbox puts the simulation in its place."`
	Push             string        `env:"WECHAT_PUSH" name:"wechat-push" placeholder:"APPID:TOKEN:AESKEY,…" help:"What the console of each mini program shows for its message push, to /wechat/push/APPID. APPID:TOKEN alone takes pushes in plain text. A fourth part is the AES key before the last change."`
	Component        string        `env:"WECHAT_COMPONENT" name:"wechat-component" placeholder:"APPID:SECRET:TOKEN:AESKEY" help:"The third-party platform, whose merchants' mini programs may log in; its pushes go to /wechat/component. A fifth part is the AES key before the last change."`
	Listen           string        `env:"MINIPROFILE_LISTEN" placeholder:"HOST:PORT" help:"Address to serve on. When it is not set: PORT on all addresses if that is, else 127.0.0.1:8080."`
	PublicURL        string        `env:"MINIPROFILE_PUBLIC_URL" placeholder:"URL" help:"Where clients reach the server, as https://api.example.com. The address it serves on when it is not set."`
	Store            string        `env:"MINIPROFILE_STORE" default:"file:data" placeholder:"URL" help:"Where accounts lie: file:PATH, firestore://PROJECT[/DATABASE] or memory:."`
	Objects          string        `env:"MINIPROFILE_OBJECTS" placeholder:"URL" help:"Where pictures lie: file:PATH, minio://HOST/BUCKET or memory:. The same place as the store when it is not set; needed with firestore:."`
	CreateBucket     bool          `env:"MINIPROFILE_CREATE_BUCKET" help:"Make the bucket of a minio: place when it is missing."`
	AvatarURL        string        `env:"MINIPROFILE_AVATAR_URL" placeholder:"URL" help:"Where the bucket can be read without this server: its own address, or a CDN's. Pictures are served from there then."`
	OldPictures      time.Duration `env:"MINIPROFILE_OLD_PICTURES" default:"10m" placeholder:"DURATION" help:"How long a replaced picture can still be fetched, for the pages that show it."`
	Secret           secretList    `env:"MINIPROFILE_SECRET" placeholder:"TEXT" help:"Protects stored secrets and signs tokens; 32 characters or more. Several, separated by commas: the first is used, the others still work. With a file: store, one is made and kept beside the data; with memory:, one is made at each start."`
	TrustedProxies   []string      `env:"MINIPROFILE_TRUSTED_PROXIES" sep:"," placeholder:"NETWORK,…" help:"Addresses and networks of the proxies whose X-Forwarded-For is believed."`
	TLSCert          string        `env:"MINIPROFILE_TLS_CERT" placeholder:"FILE" help:"Certificate with its chain, as PEM: the server then speaks HTTPS. Read again when it changes."`
	TLSKey           string        `env:"MINIPROFILE_TLS_KEY" placeholder:"FILE" help:"The certificate's key, as PEM."`
	CORSOrigins      []string      `env:"MINIPROFILE_CORS_ORIGINS" sep:"," placeholder:"ORIGIN,…" help:"Origins whose pages may call the server from a browser, as https://h5.example.com."`
	AdminListen      string        `env:"MINIPROFILE_ADMIN_LISTEN" placeholder:"HOST:PORT" help:"Address to serve /metrics and /debug/pprof/ on, which clients must not reach. Nowhere when it is not set."`
	LogFormat        string        `env:"MINIPROFILE_LOG_FORMAT" default:"auto" enum:"json,text,auto" help:"How lines are logged: json, text, or auto: text on a terminal, else json."`
	LogLevel         string        `env:"MINIPROFILE_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"The least level that is logged: debug, info, warn or error."`
	RateLimits       string        `env:"MINIPROFILE_RATE_LIMITS" default:"on" placeholder:"LIMITS" help:"on, off, or the limits that differ from the default, as login=60/m,user=20/s,app=off: of address, login (by address), user, app and wechat (codes sent, by app)."`
	MaxInFlight      int           `env:"MINIPROFILE_MAX_IN_FLIGHT" default:"1000" help:"How many requests are answered at a time; those beyond are refused at once."`
	ReadOnly         bool          `env:"MINIPROFILE_READ_ONLY" help:"Answer what only reads, refuse what would change anything, and run no jobs: while the data is moved."`
	TrustedDocuments string        `env:"MINIPROFILE_TRUSTED_DOCUMENTS" placeholder:"FILE" help:"JSON file of documents by their SHA-256, which clients may ask for by that alone."`
	OnlyTrusted      bool          `env:"MINIPROFILE_ONLY_TRUSTED" help:"Refuse all documents but those."`
	Introspection    string        `env:"MINIPROFILE_INTROSPECTION" default:"auto" enum:"auto,on,off" help:"Tell the schema by GraphQL, and suggest names when a wrong one is asked for: on, off, or auto, which is on in the sandbox only."`
	GetQueries       string        `env:"MINIPROFILE_GET_QUERIES" default:"on" enum:"on,off" help:"Answer queries by GET too: on or off."`
	Playground       string        `env:"MINIPROFILE_PLAYGROUND" default:"auto" enum:"auto,on,off" help:"Serve /playground: on, off, or auto, which is on in the sandbox only."`
	ContentCheck     string        `env:"MINIPROFILE_CONTENT_CHECK" default:"off" enum:"off,wechat" help:"Who judges nicknames and pictures: off or wechat."`
	ContentDoubt     string        `env:"MINIPROFILE_CONTENT_DOUBT" default:"reject" enum:"reject,accept" help:"What happens to what WeChat cannot judge: reject or accept."`
	ContentTimeout   time.Duration `env:"MINIPROFILE_CONTENT_TIMEOUT" default:"1h" placeholder:"DURATION" help:"How long a picture waits for WeChat's verdict before it counts as one that WeChat cannot judge."`
	RequireConsent   bool          `env:"MINIPROFILE_REQUIRE_CONSENT" help:"Refuse to set data of a user without their consent to it."`
	DeletionDelay    time.Duration `env:"MINIPROFILE_DELETION_DELAY" default:"0s" placeholder:"DURATION" help:"How long a login restores a deleted account, before its data is erased."`
	DeletedAudit     time.Duration `env:"MINIPROFILE_DELETED_AUDIT" default:"720h" placeholder:"DURATION" help:"How long the audit of a deleted account is kept, without anything that says whose it was; at most 4320h, 0s for not at all."`
	SandboxAnywhere  bool          `env:"MINIPROFILE_SANDBOX_ANYWHERE" help:"Let the sandbox, in which anyone can be anyone, serve where others may reach it: on other than loopback addresses, with a public URL or proxies, or on a shared store."`
}

// defaultListen is for a laptop: nobody else can reach it.
const defaultListen = "127.0.0.1:8080"

// secretList is one or several secrets: a text with commas between them. White space
// around them, as of lines, is none of theirs.
type secretList []string

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *secretList) UnmarshalText(text []byte) error {
	*l = nil
	if len(text) == 0 { // as good as not set
		return nil
	}
	for secret := range strings.SplitSeq(string(text), ",") {
		*l = append(*l, strings.TrimSpace(secret))
	}
	return nil
}

// secretFiles lets NAME_FILE stand for each variable NAME: the content of that
// file, without white space around it, as secrets are mounted into containers.
type secretFiles struct{}

// Validate implements kong.Resolver.
func (secretFiles) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (secretFiles) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		file, ok := os.LookupEnv(name + "_FILE")
		if !ok {
			continue
		}
		if _, both := os.LookupEnv(name); both {
			return nil, fmt.Errorf("%s and %s_FILE are both set", name, name)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s_FILE: %w", name, err)
		}
		return strings.TrimSpace(string(text)), nil
	}
	return nil, nil
}

// isSet reports whether a variable is set, or its file named, also where that is empty.
func isSet(variable string) bool {
	_, set := os.LookupEnv(variable)
	_, file := os.LookupEnv(variable + "_FILE")
	return set || file
}

// nameSetting makes the error about a setting name its variable, not only its flag.
func nameSetting(app *kong.Application, err error) error {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), " (from envar ")
	for _, command := range app.Leaves(false) {
		for _, flag := range command.Flags {
			rest, ok := strings.CutPrefix(text, "--"+flag.Name)
			if !ok || len(flag.Envs) == 0 || rest == "" || rest[0] != ':' && rest[0] != ' ' && rest[0] != '=' {
				continue
			}
			if strings.Contains(rest, "expected duration") {
				rest, _, _ = strings.Cut(rest, ": time: ")
				rest += ": want hours, minutes and seconds, as 240h, 10m or 30s"
			}
			return exit{errors.New(flag.Envs[0] + " (--" + flag.Name + ")" + rest), exitUsage}
		}
	}
	return err
}

// unknownSettings returns a warning of each variable that is called like a setting
// and is none. Those of the tests are, and those that Kubernetes makes of a service
// called miniprofile.
func unknownSettings(environ []string) (warnings []string) {
	known := map[string]bool{}
	fields := reflect.TypeFor[settings]()
	for i := range fields.NumField() {
		known[fields.Field(i).Tag.Get("env")] = true
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		bare := strings.TrimSuffix(name, "_FILE")
		if !strings.HasPrefix(name, "MINIPROFILE_") && !strings.HasPrefix(name, "WECHAT_") ||
			known[bare] || strings.HasPrefix(name, "MINIPROFILE_TEST_") || ofService.MatchString(variable) {
			continue
		}
		text := name + " is no setting"
		if like, far := nearest(bare, slices.Sorted(maps.Keys(known))); far <= 4 {
			text += ": did you mean " + like + strings.TrimPrefix(name, bare) + "?"
		}
		warnings = append(warnings, text)
	}
	slices.Sort(warnings)
	return warnings
}

// ofService are the variables that Kubernetes and Docker links make of a service.
var ofService = regexp.MustCompile(`^[A-Z0-9_]+_(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?=|PORT_[0-9]+_(TCP|UDP)(_[A-Z]+)?=|PORT=(tcp|udp)://)`)

// nearest returns which of names is the most like name, and how many letters differ.
func nearest(name string, names []string) (best string, far int) {
	far = len(name)
	for _, n := range names {
		if d := distance(name, n); d < far {
			best, far = n, d
		}
	}
	return best, far
}

// distance is Levenshtein's: how many letters must be put in, taken out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
