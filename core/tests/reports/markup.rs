//! HTML read by a real parser's tokenizer, the one of Servo and of ammonia.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// A start tag and the text that follows it, up to the next tag.
#[derive(Debug, Default)]
pub struct Tag {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub text: String,
}

impl Tag {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

#[derive(Default)]
struct Tags {
    tags: RefCell<Vec<Tag>>,
    open: RefCell<bool>,
}

impl TokenSink for Tags {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) => {
                let start = tag.kind == TagKind::StartTag;
                *self.open.borrow_mut() = start;
                if !start {
                    return TokenSinkResult::Continue;
                }
                let name = tag.name.to_string();
                let attributes =
                    tag.attrs.iter().map(|a| (a.name.local.to_string(), a.value.to_string()));
                let attributes = attributes.collect();
                self.tags.borrow_mut().push(Tag {
                    name: name.clone(),
                    attributes,
                    ..Tag::default()
                });
                // What a tree builder would tell the tokenizer.
                match name.as_str() {
                    "script" => return TokenSinkResult::RawData(RawKind::ScriptData),
                    "style" => return TokenSinkResult::RawData(RawKind::Rawtext),
                    "title" | "textarea" => return TokenSinkResult::RawData(RawKind::Rcdata),
                    _ => {}
                }
            }
            Token::CharacterTokens(text) if *self.open.borrow() => {
                if let Some(tag) = self.tags.borrow_mut().last_mut() {
                    tag.text.push_str(&text);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Every start tag of a document, in order.
pub fn read(html: &str) -> Vec<Tag> {
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from(html));
    let tokenizer = Tokenizer::new(Tags::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.tags.into_inner()
}
