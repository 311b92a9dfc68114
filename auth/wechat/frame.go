package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
)

// open decrypts what is sealed, with the present key or the one before. Its
// msg_signature has been checked, so it came from WeChat.
func (d *door) open(sealed string) ([]byte, error) {
	text, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return nil, rejected("sealed text is not base64")
	}
	for _, key := range d.keys {
		if message, ok := openFrame([]byte(key.reveal()), text, d.owner); ok {
			return message, nil
		}
	}
	return nil, rejected("no key opens it for this app")
}

// openFrame decrypts by AES-256-CBC, whose first vector is the first half of the
// key, and takes the message out of its frame: 16 random bytes, the length of the
// message in 4, the message, the AppID of owner, padding to whole 32s.
func openFrame(key, sealed []byte, owner string) ([]byte, bool) {
	const head = 16 + 4
	plain, ok := decrypt(key, key[:aes.BlockSize], sealed, 32)
	if !ok || len(plain) < head {
		return nil, false
	}
	size, rest := binary.BigEndian.Uint32(plain[16:head]), plain[head:]
	if uint64(size) > uint64(len(rest)) || string(rest[size:]) != owner {
		return nil, false
	}
	return rest[:size], true
}

// decrypt undoes AES-CBC with PKCS #7 padding to whole pads. It reports false, and
// never panics, when the text is no such thing.
func decrypt(key, iv, sealed []byte, pad int) ([]byte, bool) {
	if len(iv) != aes.BlockSize || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, false
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	n := int(plain[len(plain)-1])
	if n < 1 || n > pad || n > len(plain) {
		return nil, false
	}
	for _, b := range plain[len(plain)-n:] {
		if int(b) != n {
			return nil, false
		}
	}
	return plain[:len(plain)-n], true
}
