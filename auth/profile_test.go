package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (c *Core) update(t testing.TB, token string, in UpdateProfileInput) *User {
	t.Helper()
	p, err := c.UpdateProfile(t.Context(), token, in)
	if err != nil {
		t.Fatalf("update profile: %v", err)
	}
	return p.User
}

func TestUpdateProfileSetsClearsAndLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	w.clock.add(time.Second)
	prefs := json.RawMessage(`{ "theme" : "dark", "fontScale": 1.25, "grid": [[1,2],[3]], "__x__": "<&>\u0000" }`)
	u := c.update(t, token, UpdateProfileInput{
		Nickname: set("  小明 "), Gender: set(GenderMale), Birthday: set("2001-02-03"),
		Region: set(Region{Country: ptr("中国"), City: ptr(" 深圳 ")}), Preferences: set(prefs),
	})
	if *u.Nickname != "小明" || *u.Gender != GenderMale || *u.Birthday != "2001-02-03" || *u.Region.City != "深圳" || u.Region.Province != nil {
		t.Errorf("the user is %+v", u)
	}
	if want := `{"theme":"dark","fontScale":1.25,"grid":[[1,2],[3]],"__x__":"<&>\u0000"}`; string(u.Preferences) != want {
		t.Errorf("preferences are %s", u.Preferences)
	}
	if u.Version != 2 || !u.UpdatedAt.Equal(c.now()) || u.CreatedAt.Equal(c.now()) {
		t.Errorf("version %d, created %v, updated %v", u.Version, u.CreatedAt, u.UpdatedAt)
	}
	me, err := w.replica(t).Me(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(u, me, cmp.AllowUnexported(User{}, Avatar{}), cmp.Comparer(func(a, b func(string) string) bool { return a("x") == b("x") })); d != "" {
		t.Error("me differs from the answer: ", d)
	}
	// Absent leaves; the same again writes nothing.
	w.clock.add(time.Second)
	same := c.update(t, token, UpdateProfileInput{Nickname: set("小明"), Region: set(Region{Country: ptr("中国"), City: ptr("深圳")})})
	if same.Version != 2 || !same.UpdatedAt.Equal(u.UpdatedAt) {
		t.Errorf("a change to what is there made version %d", same.Version)
	}
	u = c.update(t, token, UpdateProfileInput{Nickname: cleared[string]()})
	w.clock.add(time.Second)
	if u.Version != 3 || u.Nickname != nil || u.Gender == nil {
		t.Errorf("after clearing the nickname: %+v", u)
	}
	u = c.update(t, token, UpdateProfileInput{
		Gender: cleared[Gender](), Birthday: cleared[string](), Region: cleared[Region](),
		Preferences: cleared[json.RawMessage](), Avatar: cleared[Upload](),
	})
	if u.Gender != nil || u.Birthday != nil || u.Region != nil || string(u.Preferences) != `{}` || u.Avatar != nil {
		t.Errorf("after clearing all: %+v", u)
	}
	audit, err := c.Audit(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(audit[0].Fields) != "[gender birthday region preferences]" || audit[0].Event != ProfileUpdated {
		t.Errorf("the audit says %+v", audit[0])
	}
}

func TestUpdateProfileRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	before := w.records(t, kindUsers)[0].Revision
	deep := json.RawMessage(strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17))
	for _, row := range []struct {
		field string
		in    UpdateProfileInput
	}{
		{"nickname", UpdateProfileInput{Nickname: set("")}},
		{"nickname", UpdateProfileInput{Nickname: set(strings.Repeat("x", 10<<20))}},
		{"gender", UpdateProfileInput{Gender: set(Gender("X"))}},
		{"birthday", UpdateProfileInput{Birthday: set("2001-2-3")}},
		{"birthday", UpdateProfileInput{Birthday: set("2001-02-30")}},
		{"birthday", UpdateProfileInput{Birthday: set("1899-12-31")}},
		{"birthday", UpdateProfileInput{Birthday: set("2026-11-24")}},
		{"birthday", UpdateProfileInput{Birthday: set("")}},
		{"region", UpdateProfileInput{Region: set(Region{City: ptr("\u202Ex")})}},
		{"region", UpdateProfileInput{Region: set(Region{Country: ptr(strings.Repeat("长", 65))})}},
		{"preferences", UpdateProfileInput{Preferences: set(json.RawMessage(`[]`))}},
		{"preferences", UpdateProfileInput{Preferences: set(json.RawMessage(``))}},
		{"preferences", UpdateProfileInput{Preferences: set(json.RawMessage(`{"a":`))}},
		{"preferences", UpdateProfileInput{Preferences: set(deep)}},
		{"preferences", UpdateProfileInput{Preferences: set(json.RawMessage(`{"a":"` + strings.Repeat("x", MaxPreferences) + `"}`))}},
		{"avatar", UpdateProfileInput{Nickname: set("ok"), Avatar: set(upload([]byte("no picture")))}},
	} {
		_, err := c.UpdateProfile(t.Context(), token, row.in)
		mustBeInvalid(t, err, row.field)
	}
	_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set("late"), IfVersion: ptr(2)})
	mustBe(t, err, ErrConflict)
	if w.records(t, kindUsers)[0].Revision != before || len(w.blobs(t)) != 0 || len(w.records(t, kindJobs)) != 0 {
		t.Error("a refused change left something")
	}
	c.update(t, token, UpdateProfileInput{Nickname: set("ok"), IfVersion: ptr(1), Birthday: set("2026-11-22")})
}

// The largest preferences fit into a record, whatever they hold.
func TestLargestPreferences(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	for _, filler := range []string{"x", "<", "长", `\"`, `\u0000`, "\u2028", "😀"} {
		text := `{"a":"` + strings.Repeat(filler, (MaxPreferences-8)/len(filler)) + `"}`
		u := c.update(t, token, UpdateProfileInput{Preferences: set(json.RawMessage(text))})
		if string(u.Preferences) != text {
			t.Errorf("filler %q came back differently", filler)
		}
		if me, err := w.replica(t).Me(t.Context(), token); err != nil || string(me.Preferences) != text {
			t.Errorf("filler %q is stored differently: %v", filler, err)
		}
	}
}

func TestNickname(t *testing.T) {
	t.Parallel()
	family := "👨‍👩‍👧‍👦"
	for _, row := range []struct{ in, want string }{
		{"Ming", "Ming"}, {" Ming\t", "Ming"}, {"李 雷", "李 雷"}, {"e\u0301", "é"}, {"𠮷野家", "𠮷野家"},
		{strings.Repeat("长", 32), strings.Repeat("长", 32)},
		{strings.Repeat(family, 32), strings.Repeat(family, 32)},
		{strings.Repeat("🇨🇳", 32), strings.Repeat("🇨🇳", 32)},
		{"مرحبا", "مرحبا"}, {"!", "!"}, {"微信用户", "微信用户"}, {"<b>&amp;", "<b>&amp;"},
	} {
		got, err := line("nickname", row.in, MaxNickname)
		if err != nil || got != row.want {
			t.Errorf("%q: got %q, %v", row.in, got, err)
		}
	}
	for _, bad := range []string{
		"", " ", "\u3000", "\u200b\u200d", "\u0301", "\u3164", "\u2800\u2800",
		"a\nb", "a\x00b", "a\u0085b", "a\u2028b", "\x1b[31m", "\x7f",
		"\u202Eevil", "a\u2066b", "\u202A", strings.Repeat("长", 33), strings.Repeat(family, 33),
		"a" + strings.Repeat("\u0301", 5000),
	} {
		_, err := line("nickname", bad, MaxNickname)
		mustBeInvalid(t, err, "nickname")
	}
}

func FuzzNickname(f *testing.F) {
	f.Add("小明")
	f.Add("👨‍👩‍👧‍👦")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := line("nickname", text, MaxNickname)
		if err != nil {
			mustBeInvalid(t, err, "nickname")
			return
		}
		if again, err := line("nickname", got, MaxNickname); err != nil || again != got {
			t.Errorf("%q became %q, and that %q, %v", text, got, again, err)
		}
	})
}

func TestUpdatesAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	replicas := []*Core{w.replica(t), w.replica(t)}
	token := replicas[0].mustLogin(t, "ming~1").Tokens.AccessToken
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			in := UpdateProfileInput{Nickname: set(fmt.Sprint("name ", i))}
			if i%2 == 0 {
				in = UpdateProfileInput{Birthday: set(fmt.Sprintf("20%02d-01-01", i%26))}
			}
			if _, err := replicas[i/2%2].UpdateProfile(t.Context(), token, in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	me, err := replicas[1].Me(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(w.records(t, kindAudit)) - 1; me.Version != 1+n || me.Nickname == nil || me.Birthday == nil {
		t.Errorf("version %d after %d changes, nickname %v, birthday %v", me.Version, n, me.Nickname, me.Birthday)
	}
	// With ifVersion exactly one of many wins.
	var mu sync.Mutex
	wins := 0
	for i := range 32 {
		wg.Go(func() {
			_, err := replicas[i%2].UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set(fmt.Sprint("only ", i)), IfVersion: &me.Version})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				wins++
			} else if !errors.Is(err, ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins != 1 {
		t.Errorf("%d won", wins)
	}
}

// Numbers that no program may hold are good JSON all the same: they come back as they
// were sent, and hide nothing of what stands after them.
func TestPreferencesWithStrangeNumbers(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		const text = `{"a":[1e999,-1e999,1e-999,123456789012345678901234567890,1.50,-0,0.1e+1]}`
		c.update(t, token, UpdateProfileInput{Preferences: set(json.RawMessage(text))})
		me, err := w.replica(t).Me(t.Context(), token)
		if err != nil || string(me.Preferences) != text {
			t.Errorf("preferences are %s, %v", me.Preferences, err)
		}
		if exported, err := c.Export(t.Context(), me); err != nil || !strings.Contains(string(exported), text) {
			t.Errorf("exported %s, %v", exported, err)
		}
		for _, levels := range []int{MaxPreferencesDepth - 1, MaxPreferencesDepth} {
			deep := `{"x":1e999,"a":` + strings.Repeat("[", levels) + strings.Repeat("]", levels) + `}`
			_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Preferences: set(json.RawMessage(deep))})
			if levels < MaxPreferencesDepth && err != nil {
				t.Error(err)
			}
			if levels == MaxPreferencesDepth {
				mustBeInvalid(t, err, "preferences")
			}
		}
	})
}

// slowText lets something happen while WeChat judges a text.
type slowText struct {
	WeChat
	meanwhile func()
}

func (w slowText) CheckText(ctx context.Context, token, openID, text string) (Verdict, error) {
	w.meanwhile()
	return w.WeChat.CheckText(ctx, token, openID, text)
}

// A session that is logged out while WeChat judges its nickname changes nothing more.
func TestALogoutDuringAContentCheck(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		plain := w.replica(t)
		mine, thief := plain.mustLogin(t, "ming~1"), plain.mustLogin(t, "ming~2")
		w.configure = func(config *Config) {
			config.CheckContent = true
			config.WeChat = slowText{config.WeChat, func() {
				if _, err := plain.Logout(t.Context(), mine.Tokens.AccessToken, LogoutInput{SessionID: &thief.User.sid}); err != nil {
					t.Error(err)
				}
			}}
		}
		_, err := w.replica(t).UpdateProfile(t.Context(), thief.Tokens.AccessToken, UpdateProfileInput{Nickname: set("thief")})
		mustBe(t, err, ErrUnauthenticated)
		if me, err := plain.Me(t.Context(), mine.Tokens.AccessToken); err != nil || me.Nickname != nil {
			t.Errorf("the user is %+v, %v", me, err)
		}
	})
}
