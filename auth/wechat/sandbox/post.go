package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// pushTimeout, pushPause and pushTries are WeChat's.
	pushTimeout = 5 * time.Second
	pushPause   = 5 * time.Second
	pushTries   = 4
	// maxWaiting bounds the pushes that wait to be sent; those beyond are lost.
	maxWaiting = 256
)

// post brings pushes to the server.
type post struct {
	waiting chan struct{}

	mu     sync.Mutex
	client *http.Client
	base   string
}

func newPost() *post {
	return &post{waiting: make(chan struct{}, maxWaiting), client: &http.Client{
		Timeout:       pushTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// PushTo tells the sandbox where the server is that pushes go to: an app's to
// /wechat/push/APPID below baseURL, the third-party platform's to
// /wechat/component. Until then there are none.
func (s *Sandbox) PushTo(baseURL string) {
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	s.post.base = strings.TrimSuffix(baseURL, "/")
}

// PushInto is PushTo for a server in this process: it is called without a socket,
// so that neither its address nor its certificate matters. baseURL, which has no
// slash at its end, is that of its pictures.
func (s *Sandbox) PushInto(server http.Handler, baseURL string) {
	if u, err := url.Parse(baseURL); err == nil {
		server = http.StripPrefix(u.Path, server)
	}
	s.PushTo(baseURL)
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	client := *s.post.client
	client.Transport = within{server}
	s.post.client = &client
}

// server returns where the server is, and who brings pushes there.
func (p *post) server() (baseURL string, client *http.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.base, p.client
}

// delivery is what a server said to a push.
type delivery struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Echoed *bool  `json:"echoed,omitempty"` // of an URL check: whether it answered as it must
}

func (p *post) deliver(ctx context.Context, l *letter) (delivery, error) {
	base, client := p.server()
	if base == "" {
		return delivery{}, errors.New("nobody has told the sandbox where the server is")
	}
	r, err := http.NewRequestWithContext(ctx, l.method, base+l.path+"?"+l.query.Encode(), bytes.NewReader(l.body))
	if err != nil {
		return delivery{}, err
	}
	if l.method == http.MethodPost {
		r.Header.Set("Content-Type", "text/xml") // whatever it is, like WeChat
	}
	r.Header.Set("User-Agent", "Mozilla/4.0")
	resp, err := client.Do(r)
	if err != nil {
		return delivery{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	d := delivery{Status: resp.StatusCode, Body: string(body)}
	if l.echo != "" {
		same := d.Status == http.StatusOK && d.Body == l.echo
		d.Echoed = &same
	}
	return d, err
}

// later delivers what write makes, after a while, up to pushTries times until the
// server says 200.
func (p *post) later(delay time.Duration, write func() (*letter, bool)) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-p.waiting }()
		time.Sleep(delay)
		l, ok := write()
		for try := 0; ok && try < pushTries; try++ {
			if try > 0 {
				time.Sleep(pushPause)
			}
			if d, err := p.deliver(context.Background(), l); err == nil && d.Status == http.StatusOK {
				return
			}
		}
	}()
}

// canRead reports whether a picture of the server's can be read; others are taken
// to be.
func (p *post) canRead(pictureURL string) bool {
	base, client := p.server()
	if base == "" || !strings.HasPrefix(pictureURL, base+"/") {
		return true
	}
	resp, err := client.Get(pictureURL)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 10<<20))
	return err == nil && n > 0 && resp.StatusCode == http.StatusOK
}
