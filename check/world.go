package check

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/drivers"
)

// Secrets looks at the secrets: their length, who may read the file of the first,
// when they lie in one, and whether they open what the store holds. store may be nil.
func Secrets(ctx context.Context, secrets []string, file string, store drivers.Store) (r Report) {
	for i, secret := range secrets {
		f := Finding{Name: "secret", Status: OK, Detail: fmt.Sprintf("number %d has %d characters", i+1, len(secret))}
		if len(secret) < auth.MinSecret {
			f.Status, f.Do = Fail, fmt.Sprintf("set MINIPROFILE_SECRET to %d random characters or more, as of: openssl rand -base64 32", auth.MinSecret)
		} else if distinct(secret) < 8 {
			f.Status, f.Do = Warn, "a secret of so few different characters is guessed; make one with: openssl rand -base64 32"
		}
		r = append(r, f)
	}
	if file != "" {
		r = append(r, fileMode(file))
	}
	if store != nil && len(secrets) > 0 && !r.Failed() {
		sessions := 0
		f := timed("secret: opens", "", aboutSealed, func() (err error) { sessions, err = auth.CheckSecrets(ctx, store, secrets); return err })
		switch {
		case f.Status != OK:
		case sessions == 0:
			f.Detail = "nothing is sealed yet"
		default:
			f.Detail = fmt.Sprintf("the %d sessions looked at", sessions)
		}
		r = append(r, f)
	}
	return r
}

// aboutSealed is the advice where the secrets could not be tried on the store, or do not fit.
func aboutSealed(err error) string {
	if errors.Is(err, auth.ErrSealed) {
		return "this store was used with another secret: set MINIPROFILE_SECRET to that one (or both, with a comma, the new one first), or everybody has to log in again"
	}
	return "the store could not be read: see what is said of it"
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, c := range s {
		seen[c] = true
	}
	return len(seen)
}

func fileMode(path string) Finding {
	f := Finding{Name: "secret: file", Status: OK}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.Status, f.Detail, f.Do = Fail, err.Error(), "the file must be readable for the server"
	case info.Mode().Perm()&0o077 != 0:
		f.Status, f.Detail, f.Do = Fail, fmt.Sprintf("%s has mode %04o: others can read it", path, info.Mode().Perm()), "chmod 600 "+path
	default:
		f.Detail = fmt.Sprintf("mode %04o", info.Mode().Perm())
	}
	return f
}

// probeCode is a login code that WeChat surely refuses, after it has looked at
// AppID and AppSecret.
const probeCode = "miniprofile-check"

// WeChat asks WeChat for each app, with a code that cannot be good: whether it
// refuses the code or the app tells whether AppID and AppSecret are right. And it
// asks for the app's access token, for which this machine's address counts too.
func WeChat(ctx context.Context, client auth.WeChat, apps []string) (r Report) {
	for _, app := range apps {
		r = append(r, timed("WeChat: "+app, "answers, and knows AppID and AppSecret", aboutWeChat, func() error {
			_, err := client.CodeToSession(ctx, app, probeCode)
			if errors.Is(err, auth.ErrCodeRejected) {
				return nil
			}
			if err == nil {
				return errors.New("it took a code that cannot be good: this is not WeChat")
			}
			return err
		}))
		r = append(r, timed("WeChat: token", "of "+app, aboutWeChat, func() error {
			_, err := client.AccessToken(ctx, app)
			return err
		}))
	}
	return r
}

// aboutWeChat is the advice about an error of WeChat's client.
func aboutWeChat(err error) string {
	var refused *wechat.Error
	switch {
	case errors.As(err, &refused) && refused.Advice() != "":
		return refused.Advice()
	case errors.Is(err, auth.ErrMisconfigured):
		return "compare WECHAT_APPS with AppID and AppSecret at mp.weixin.qq.com, and this machine's address with the IP allow-list there"
	}
	return "can this machine reach WECHAT_BASE_URL? A proxy or a firewall may stand between"
}

// client asks for what is only looked at.
var client = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// How far a clock may be off: tokens live 15 minutes and S3 refuses at 15 minutes,
// but other services that verify our tokens allow less.
const (
	clockWarn = 5 * time.Second
	clockFail = time.Minute
)

// Clock compares this machine's clock with that of a server, by the Date of its
// answer. Where there is none it finds nothing.
func Clock(ctx context.Context, server, rawURL string) Report {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, rawURL, nil)
	if err != nil {
		return nil
	}
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return nil // told by the probe of that server
	}
	response.Body.Close()
	took := time.Since(start)
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return nil
	}
	// The answer was made in the middle of the call, and Date has whole seconds.
	off := start.Add(took / 2).Sub(date.Add(time.Second / 2)).Round(time.Second)
	f := Finding{Name: "clock", Status: OK, Detail: "as " + server + "'s"}
	if off.Abs() >= clockWarn {
		f.Status, f.Detail = Warn, fmt.Sprintf("%v ahead of %s's", off, server)
		if off < 0 {
			f.Detail = fmt.Sprintf("%v behind %s's", -off, server)
		}
		f.Do = "set the clock, as by NTP: tokens carry it"
	}
	if off.Abs() >= clockFail {
		f.Status = Fail
	}
	return Report{f}
}

// Certificate looks how far the end of the certificate is that the server is to serve:
// no less than notice is good.
func Certificate(end time.Time, notice time.Duration) Finding {
	f := Finding{Name: "certificate", Status: OK, Detail: "until " + end.UTC().Format(time.DateTime) + " UTC"}
	left := time.Until(end)
	if left < notice {
		f.Status, f.Do = Warn, "renew it now; the server reads it again when its file changes"
	}
	if left <= 0 {
		f.Status, f.Detail = Fail, "ended at "+end.UTC().Format(time.DateTime)+" UTC"
	}
	return f
}

// PublicURL looks whether clients can use the public URL, which has no slash at its
// end, and whether what answers there is miniprofile. sandbox says that no real
// WeChat client will come.
func PublicURL(ctx context.Context, raw string, sandbox bool) Report {
	f := Finding{Name: "public URL", Status: OK, Detail: raw}
	switch {
	case raw == "":
		f.Detail, f.Status = "not set: pictures have addresses of this machine", Warn
		f.Do = "set MINIPROFILE_PUBLIC_URL to where clients reach the server, as https://api.example.com"
		return Report{f}
	case !strings.HasPrefix(raw, "https://") && !sandbox:
		f.Status, f.Do = Fail, "mini programs call HTTPS only: put a proxy with a certificate before the server and begin MINIPROFILE_PUBLIC_URL with https://"
	}
	return Report{f, reach(ctx, raw)}
}

func reach(ctx context.Context, raw string) Finding {
	f := Finding{Name: "public URL: answers", Status: OK, Detail: "as miniprofile"}
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, raw+"/", nil)
	if err != nil {
		f.Status, f.Detail, f.Do = Fail, "it is no URL", "set MINIPROFILE_PUBLIC_URL right, as https://api.example.com"
		return f
	}
	response, err := client.Do(request)
	f.Took = time.Since(start)
	if err != nil {
		var dns *net.DNSError
		f.Status, f.Detail, f.Do = Warn, "no answer", "is a server running, does the proxy pass to it, is it reachable from here?"
		switch {
		case errors.As(err, &dns):
			f.Status, f.Detail, f.Do = Fail, "the host is not known", "is MINIPROFILE_PUBLIC_URL spelt right, and is there a DNS record?"
		case strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "tls:"):
			f.Status, f.Detail, f.Do = Fail, "its certificate is not good: "+root(err).Error(), "mini programs refuse it too: "+aboutTLS(err)
		}
		return f
	}
	defer response.Body.Close()
	var index struct{ Name string }
	body, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if json.Unmarshal(body, &index) != nil || index.Name != "miniprofile" {
		f.Status, f.Detail = Warn, fmt.Sprintf("something answers, with status %d, that is not miniprofile", response.StatusCode)
		f.Do = "does the proxy pass to the server, with the path as it is?"
		if path := request.URL.Path; path != "/" {
			f.Do = "does the proxy pass to the server, and take " + strings.TrimSuffix(path, "/") + " away from the path?"
		}
	}
	return f
}

// root is the innermost error, without what the calls around it say.
func root(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// aboutTLS is what to do about a certificate that is not good.
func aboutTLS(err error) string {
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		return "serve one for this host, or correct MINIPROFILE_PUBLIC_URL"
	case errors.As(err, &unknown):
		return "serve the whole chain, of an authority that every device knows"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the certificate; is this machine's clock right?"
	}
	return "see the message"
}

// TTL says what Firestore must be told, which cannot be seen from here.
func TTL(project, database string) Report {
	if database == "" {
		database = "(default)"
	}
	return Report{{
		Name: "expiry", Status: Hint, Detail: "Firestore drops what has expired only where a TTL policy says so",
		Do: fmt.Sprintf("once, for each of %s: gcloud firestore fields ttls update expires --enable-ttl --collection-group=KIND --project=%s --database='%s'",
			strings.Join(auth.ExpiringKinds, ", "), project, database),
	}}
}
