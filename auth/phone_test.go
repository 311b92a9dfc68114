package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func byCode(code string) BindPhoneNumberInput { return BindPhoneNumberInput{Code: set(code)} }

func (c *Core) bind(t testing.TB, token string, in BindPhoneNumberInput) *User {
	t.Helper()
	p, err := c.BindPhoneNumber(t.Context(), token, in)
	if err != nil {
		t.Fatalf("bind phone number: %v", err)
	}
	return p.User
}

func TestBindPhoneNumber(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		ming, hong := c.mustLogin(t, "ming~1"), c.mustLogin(t, "hong~1")
		u := c.bind(t, ming.Tokens.AccessToken, byCode("phone~13800138000~1"))
		if u.Phone == nil || *u.Phone != (Phone{"86", "13800138000"}) || u.Version != 2 {
			t.Fatalf("the user is %+v", u)
		}
		// Its answer got lost: the same again, without WeChat.
		w.clock.add(time.Second)
		if u = w.replica(t).bind(t, ming.Tokens.AccessToken, byCode("phone~13800138000~1")); u.Version != 2 {
			t.Errorf("version %d", u.Version)
		}
		// Somebody else cannot use the code, ...
		_, err := c.BindPhoneNumber(t.Context(), hong.Tokens.AccessToken, byCode("phone~13800138000~1"))
		mustBeInvalid(t, err, "code")
		// ... and needs to mean it, to have the number: with the same code.
		_, err = c.BindPhoneNumber(t.Context(), hong.Tokens.AccessToken, byCode("phone~13800138000~2"))
		mustBeInvalid(t, err, "move")
		in := byCode("phone~13800138000~2")
		in.Move = true
		if u = c.bind(t, hong.Tokens.AccessToken, in); u.Phone == nil {
			t.Error("not moved")
		}
		me, err := c.Me(t.Context(), ming.Tokens.AccessToken)
		if err != nil || me.Phone != nil || me.Version != 3 {
			t.Errorf("the one before has %+v, %v", me, err)
		}
		if n := len(w.records(t, kindPhones)); n != 1 || w.wechat.mostSent() > 1 {
			t.Errorf("%d numbers, a code was sent %d times", n, w.wechat.mostSent())
		}
		// Another number takes the place of the first; unbinding frees it.
		u = c.bind(t, hong.Tokens.AccessToken, byCode("phone~13900139000~3"))
		if u.Phone.Number != "13900139000" || len(w.records(t, kindPhones)) != 1 {
			t.Errorf("phone %v, numbers %v", u.Phone, w.records(t, kindPhones))
		}
		u = c.bind(t, hong.Tokens.AccessToken, BindPhoneNumberInput{Code: cleared[string]()})
		if u.Phone != nil || len(w.records(t, kindPhones)) != 0 {
			t.Errorf("phone %v, numbers %v", u.Phone, w.records(t, kindPhones))
		}
		for _, kind := range []string{kindPhones, kindCodes, kindJobs, kindAudit} {
			for _, r := range w.records(t, kind) {
				if strings.Contains(string(r.Data), "13800138000") || strings.Contains(r.Key.ID, "13800138000") {
					t.Errorf("%v holds a number in the clear", r.Key)
				}
			}
		}
	})
}

func TestBindPhoneNumberRefuses(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		for _, code := range []string{"", "ming~2", strings.Repeat("c", 300), "with space"} {
			_, err := c.BindPhoneNumber(t.Context(), token, byCode(code))
			mustBeInvalid(t, err, "code")
		}
		_, err := c.BindPhoneNumber(t.Context(), token, BindPhoneNumberInput{})
		mustBeInvalid(t, err, "code")
		_, err = c.BindPhoneNumber(t.Context(), token, BindPhoneNumberInput{Code: set("c"), IV: ptr("i")})
		mustBeInvalid(t, err, "code")
		_, err = c.BindPhoneNumber(t.Context(), "", byCode("phone~1~1"))
		mustBe(t, err, ErrUnauthenticated)
		// What surely was not sent may be sent again.
		w.wechat.fail = func(string) error { return errors.Join(ErrUpstream, ErrNotSent) }
		_, err = c.BindPhoneNumber(t.Context(), token, byCode("phone~1~9"))
		mustBe(t, err, ErrUpstream)
		w.wechat.fail, w.wechat.sent = nil, map[string]int{}
		c.bind(t, token, byCode("phone~1~9"))
		// Without an access token nothing was sent either.
		w.wechat.tokenFails = ErrUpstream
		w.clock.add(3 * time.Hour)
		token = c.mustLogin(t, "ming~3").Tokens.AccessToken
		_, err = c.BindPhoneNumber(t.Context(), token, byCode("phone~2~9"))
		mustBe(t, err, ErrUpstream)
		w.wechat.tokenFails = nil
		w.clock.add(tokenPause)
		c.bind(t, token, byCode("phone~2~9"))
		// WeChat refuses the access token before it looks at the code: once more.
		w.wechat.expire()
		c.bind(t, token, byCode("phone~3~9"))
		// But where no other token can be had, the code was sent, and is spent.
		w.wechat.expire()
		w.wechat.tokenFails = errors.Join(ErrUpstream, ErrNotSent)
		_, err = c.BindPhoneNumber(t.Context(), token, byCode("phone~4~9"))
		mustBe(t, err, ErrUpstream)
		w.wechat.tokenFails = nil
		w.clock.add(tokenPause)
		_, err = c.BindPhoneNumber(t.Context(), token, byCode("phone~4~9"))
		mustBeInvalid(t, err, "code")
	})
}

func TestBindPhoneNumberOldWay(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		data := func(at time.Duration, phone *Phone) {
			w.wechat.openData = map[string]OpenData{"data": {Phone: phone, At: c.now().Add(at)}}
		}
		in := BindPhoneNumberInput{EncryptedData: ptr("data"), IV: ptr("iv")}
		data(0, &Phone{"86", "13800138000"})
		if u := c.bind(t, token, in); u.Phone.Number != "13800138000" {
			t.Errorf("bound %v", u.Phone)
		}
		data(-11*time.Minute, &Phone{"86", "1"})
		_, err := c.BindPhoneNumber(t.Context(), token, in)
		mustBeInvalid(t, err, "encryptedData")
		data(0, nil)
		_, err = c.BindPhoneNumber(t.Context(), token, in)
		mustBeInvalid(t, err, "encryptedData")
		w.wechat.staleKey = true
		_, err = c.BindPhoneNumber(t.Context(), token, in)
		mustBe(t, err, ErrUnauthenticated)
		mustBe(t, err, ErrLogInAgain)
	})
}

// Of many accounts that bind one number at once, one has it.
func TestANumberIsOneAccounts(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		for i := range 8 {
			c := w.replica(t)
			token := c.mustLogin(t, fmt.Sprintf("person%d~1", i)).Tokens.AccessToken
			wg.Go(func() {
				in := byCode(fmt.Sprintf("phone~13800138000~%d", i))
				in.Move = i%2 == 0
				if _, err := c.BindPhoneNumber(t.Context(), token, in); err != nil {
					mustBeInvalid(t, err, "move")
				}
			})
		}
		wg.Wait()
		w.mustAgreeOnPhones(t, 1)
	})
}

// mustAgreeOnPhones fails unless want users have a number and each number its user.
func (w *world) mustAgreeOnPhones(t testing.TB, want int) {
	t.Helper()
	owners := map[string]string{}
	for _, r := range w.records(t, kindPhones) {
		phone, _ := decode[phoneRecord](r)
		owners[r.Key.ID] = phone.User
	}
	have := 0
	for _, r := range w.records(t, kindUsers) {
		user, _ := decode[userRecord](r)
		if user.Phone == nil {
			continue
		}
		have++
		if owners[phoneKey(*user.Phone).ID] != r.Key.ID {
			t.Errorf("user %s has a number that is not theirs", r.Key.ID)
		}
	}
	if have != want || len(owners) != want {
		t.Errorf("%d users have a number, %d numbers have a user; want %d", have, len(owners), want)
	}
}
