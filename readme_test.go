package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// TestSettingsAreDocumented compares the table of settings in both READMEs with
// the settings that the program has.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	defaults := map[string]string{}
	fields := reflect.TypeFor[settings]()
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		defaults[tag.Get("env")] = tag.Get("default")
		if tag.Get("env") == "" || tag.Get("help") == "" {
			t.Errorf("%s lacks a variable or a help", fields.Field(i).Name)
		}
	}
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| ([^|]*) \\| [^|]{4,} \\|$")
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, m := range row.FindAllStringSubmatch(string(text), -1) {
			want, known := defaults[m[1]]
			if !known {
				t.Errorf("%s documents %s, which does not exist", name, m[1])
			}
			if want != "" && m[2] != "`"+want+"`" {
				t.Errorf("%s: default of %s is %s, want %s", name, m[1], m[2], want)
			}
			found[m[1]] = true
		}
		for setting := range defaults {
			if !found[setting] {
				t.Errorf("%s does not document %s", name, setting)
			}
		}
	}
}

// TestReadmesAgree: the Chinese README has the same commands, settings, codes, metrics
// and costs as the English one, in the same order.
func TestReadmesAgree(t *testing.T) {
	t.Parallel()
	english, chinese := readmeBlocks(t, "README.md"), readmeBlocks(t, "README.zh-CN.md")
	for _, language := range []string{"console", "sh", "bash", "json", "go"} {
		if !slices.Equal(english[language], chinese[language]) {
			t.Errorf("the %s blocks differ", language)
		}
		if len(english[language]) == 0 {
			t.Errorf("no %s blocks", language)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([^|]+)` \\|")
	var names [2][]string // in the tables
	for i, readme := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rows.FindAllStringSubmatch(string(text), -1) {
			names[i] = append(names[i], m[1])
		}
	}
	if len(names[0]) < 70 || !slices.Equal(names[0], names[1]) {
		t.Errorf("the rows of the tables differ: %v\n%v", names[0], names[1])
	}
}

// readmeBlocks returns the fenced blocks of a README by their language.
func readmeBlocks(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	return blocks
}
