//! Rust source as tokens: enough to follow paths, and not to be misled by comments and texts.

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }
}

/// One file.
pub struct Source {
    /// From the repository's root.
    pub path: String,
    /// The module it is, by its place: `src/store/sqlite/mod.rs` is `store`, `sqlite`.
    pub module: Vec<String>,
    tokens: Vec<Token>,
    /// Texts in quotes, with their lines.
    pub literals: Vec<(usize, String)>,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        let place = path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = place
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
            .map(str::to_owned)
            .collect();
        let (tokens, literals) = lex(text);
        Self { path: path.to_owned(), module, tokens, literals }
    }

    /// Names, with their lines.
    pub fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let word =
            |token: &&Token| token.text.starts_with(|first: char| first.is_alphabetic() || first == '_');
        self.tokens.iter().filter(word).map(|token| (token.line, token.text.as_str()))
    }

    /// Every path that begins at the crate's root (`crate::…`, or enough times `super::`), with each branch of a
    /// group as a path of its own.
    pub fn crate_paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        let depths = self.inline_depths();
        let mut at = 0;
        while at < self.tokens.len() {
            let begins = at == 0 || !self.tokens[at - 1].is("::");
            let mut next = at;
            let mut ups = 0;
            while begins && self.is(next, "super") && self.is(next + 1, "::") {
                ups += 1;
                next += 2;
            }
            let from_root = ups > 0 && ups >= self.module.len() + depths[at];
            if begins && self.is(at, "crate") && self.is(at + 1, "::") {
                next = at + 2;
            } else if !from_root {
                at += 1;
                continue;
            }
            at = self.branches(next, &[], &mut found).max(at + 1);
        }
        found
    }

    /// In how many `mod name { … }` of this file each token stands.
    fn inline_depths(&self) -> Vec<usize> {
        let (mut open, mut depths) = (Vec::new(), Vec::with_capacity(self.tokens.len()));
        for (at, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => open.push(at >= 2 && self.is(at - 2, "mod")),
                "}" => drop(open.pop()),
                _ => {}
            }
            depths.push(open.iter().filter(|module| **module).count());
        }
        depths
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(text))
    }

    /// Reads what follows a `::`; returns where it ends.
    fn branches(&self, mut at: usize, before: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
        let mut path = before.to_vec();
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(at) {
            if token.is("{") {
                at += 1;
                while at < self.tokens.len() && !self.is(at, "}") {
                    at = self.branches(at, &path, found).max(at + 1);
                    while at < self.tokens.len() && !self.is(at, ",") && !self.is(at, "}") {
                        at += 1;
                    }
                    at += usize::from(self.is(at, ","));
                }
                return at + 1;
            }
            path.push(token.text.clone());
            at += 1;
            if !self.is(at, "::") {
                break;
            }
            at += 1;
        }
        found.push((line, path));
        at
    }

    /// The tokens, without what is compiled for tests only.
    pub fn without_tests(&self) -> Vec<Token> {
        const TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        let mut kept = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if TESTS.iter().enumerate().all(|(offset, text)| self.is(at + offset, text)) {
                at = self.end_of_item(at + TESTS.len());
            } else {
                kept.push(self.tokens[at].clone());
                at += 1;
            }
        }
        kept
    }

    /// Where the item that begins here (its other attributes included) ends: behind its block or semicolon.
    fn end_of_item(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(at) {
            at += 1;
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return at;
                    }
                }
                ";" if depth == 0 => return at,
                _ => {}
            }
        }
        at
    }
}

/// Splits `text` into tokens and quoted texts; comments vanish.
fn lex(text: &str) -> (Vec<Token>, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut literals) = (Vec::new(), Vec::new());
    let (mut at, mut line) = (0, 1);
    let peek = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    while at < chars.len() {
        let start = at;
        match chars[at] {
            '/' if peek(at + 1) == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if peek(at + 1) == '*' => at = behind_comment(&chars, at),
            '"' => {
                at = behind_quote(&chars, at + 1);
                literals.push((line, chars[start + 1..at.saturating_sub(1).max(start + 1)].iter().collect()));
            }
            '\'' => {
                // A lifetime, or a character.
                if peek(at + 1) == '\\' {
                    at += 3;
                    while at < chars.len() && chars[at] != '\'' {
                        at += 1;
                    }
                    at += 1;
                } else if peek(at + 2) == '\'' {
                    at += 3;
                } else {
                    at += 1;
                }
            }
            character if is_word(character) => {
                while is_word(peek(at)) {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|character| **character == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && peek(at + hashes) == '"' {
                    let end = behind_raw(&chars, at + hashes + 1, hashes);
                    let inner = at + hashes + 1..end.saturating_sub(hashes + 1).max(at + hashes + 1);
                    literals.push((line, chars[inner].iter().collect()));
                    at = end;
                } else {
                    tokens.push(Token { text: word, line });
                }
            }
            ':' if peek(at + 1) == ':' => {
                at += 2;
                tokens.push(Token { text: "::".to_owned(), line });
            }
            character => {
                at += 1;
                if !character.is_whitespace() {
                    tokens.push(Token { text: character.to_string(), line });
                }
            }
        }
        at = at.min(chars.len());
        line += chars[start..at].iter().filter(|character| **character == '\n').count();
    }
    (tokens, literals)
}

fn behind_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn behind_quote(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn behind_raw(chars: &[char], mut at: usize, hashes: usize) -> usize {
    while at < chars.len() {
        let closed =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        at += 1;
        if closed {
            return at + hashes;
        }
    }
    at
}

#[test]
fn comments_texts_and_lifetimes_do_not_mislead() {
    let code =
        "a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# 'k' '\\'' '\\u{1F514}' &'life l::m b\"n\"";
    let source = Source::read("src/x.rs", code);
    let words: Vec<_> = source.words().map(|(_, word)| word).collect();
    assert_eq!(words, ["a", "e", "life", "l", "m", "b"]);
    let texts: Vec<_> = source.literals.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(texts, [(2, "g \\\" h"), (2, "i \" j"), (2, "n")]);
}
