package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// settings of the server: flags, then environment, then defaults. README.md has
// the same table; a test compares the two.
type settings struct {
	Listen     string   `env:"MINIPROFILE_LISTEN" placeholder:"HOST:PORT" help:"Address to serve on. When it is not set: PORT on all addresses if that is, else 127.0.0.1:8080."`
	Store      string   `env:"MINIPROFILE_STORE" default:"file:data" placeholder:"URL" help:"Where accounts lie: file:PATH or memory:."`
	Objects    string   `env:"MINIPROFILE_OBJECTS" placeholder:"URL" help:"Where pictures lie: file:PATH or memory:. The same place as the store when it is not set."`
	Secret     []string `env:"MINIPROFILE_SECRET" sep:"," placeholder:"TEXT" help:"Protects stored secrets and signs tokens; 32 characters or more. Several, separated by commas: the first is used, the others still work. With a file: store, one is made and kept beside the data."`
	PublicURL  string   `env:"MINIPROFILE_PUBLIC_URL" placeholder:"URL" help:"Where clients reach the server. The address it serves on when it is not set."`
	Admin      string   `env:"MINIPROFILE_ADMIN_LISTEN" name:"admin-listen" placeholder:"HOST:PORT" help:"Address to serve /metrics and /debug/pprof/ on, which clients must not reach. Nowhere when it is not set."`
	Limits     string   `env:"MINIPROFILE_RATE_LIMITS" name:"rate-limits" default:"on" placeholder:"LIMITS" help:"on, off, or the limits that differ from the default, as login=60/m,user=20/s,app=off: of address, login (by address), user, app and wechat (codes sent, by app)."`
	InFlight   int      `env:"MINIPROFILE_MAX_IN_FLIGHT" name:"max-in-flight" default:"1000" help:"How many requests are answered at a time; those beyond are refused at once."`
	Proxies    []string `env:"MINIPROFILE_TRUSTED_PROXIES" name:"trusted-proxies" sep:"," placeholder:"NETWORK,…" help:"Addresses and networks of the proxies whose X-Forwarded-For is believed."`
	TLSCert    string   `env:"MINIPROFILE_TLS_CERT" name:"tls-cert" placeholder:"FILE" help:"Certificate with its chain, as PEM: the server then speaks HTTPS. Read again when it changes."`
	TLSKey     string   `env:"MINIPROFILE_TLS_KEY" name:"tls-key" placeholder:"FILE" help:"The certificate's key, as PEM."`
	Origins    []string `env:"MINIPROFILE_CORS_ORIGINS" name:"cors-origins" sep:"," placeholder:"ORIGIN,…" help:"Origins whose pages may call the server from a browser, as https://h5.example.com."`
	Documents  string   `env:"MINIPROFILE_TRUSTED_DOCUMENTS" name:"trusted-documents" placeholder:"FILE" help:"JSON file of documents by their SHA-256, which clients may ask for by that alone."`
	Trusted    bool     `env:"MINIPROFILE_ONLY_TRUSTED" name:"only-trusted" help:"Refuse all documents but those."`
	LogFormat  string   `env:"MINIPROFILE_LOG_FORMAT" default:"auto" enum:"json,text,auto" help:"How lines are logged: json, text, or auto: text on a terminal, else json."`
	LogLevel   string   `env:"MINIPROFILE_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"The least level that is logged: debug, info, warn or error."`
	Apps       string   `env:"WECHAT_APPS" placeholder:"APPID:SECRET,…" help:"The mini programs that may log in. The sandbox serves when it is not set."`
	WeChatURL  string   `env:"WECHAT_BASE_URL" name:"wechat-base-url" default:"https://api.weixin.qq.com" placeholder:"URL" help:"Where WeChat's API is; sandbox puts the simulation in its place."`
	SandboxAny bool     `env:"MINIPROFILE_SANDBOX_ANYWHERE" name:"sandbox-anywhere" help:"Let the sandbox, in which anyone can be anyone, serve on other than loopback addresses."`
}

// defaultListen is for a laptop: nobody else can reach it.
const defaultListen = "127.0.0.1:8080"

// secretFiles lets NAME_FILE stand for each variable NAME: the content of that
// file, without white space around it, as secrets are mounted into containers.
type secretFiles struct{}

// Validate is of kong.Resolver.
func (secretFiles) Validate(*kong.Application) error { return nil }

// Resolve is of kong.Resolver.
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
