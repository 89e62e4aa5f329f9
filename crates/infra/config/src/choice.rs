//! Values that are one of a few names.

/// Defines an enum whose variants have names in the configuration. `also` are further names for a variant, `later` are
/// names of things that are known but not in this version.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        $name:ident {
            $($(#[doc = $doc:literal])+ $variant:ident = $text:literal $(also $other:literal)*,)+
        }
        $(later $($later:literal)+)?
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// The name the configuration uses.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl crate::value::Word for $name {
            fn shape() -> String {
                let names: &[&str] = &[$(concat!("`", $text, "`")),+];
                match names {
                    [only] => (*only).to_owned(),
                    [first, last] => format!("{first} or {last}"),
                    _ => format!("one of {}", names.join(", ")),
                }
            }

            fn parse(text: &str) -> Result<Self, crate::error::Fault> {
                match text {
                    $($text $(| $other)* => Ok(Self::$variant),)+
                    $($($later)|+ => Err(crate::error::Fault::unbuilt(format!(
                        "`{text}` is not in this version; use {}", Self::shape()
                    ))),)?
                    _ => Err(crate::error::Fault::invalid(format!("expected {}, found `{text}`", Self::shape()))),
                }
            }

            fn print(&self) -> String {
                self.as_str().to_owned()
            }
        }
    };
}

pub(crate) use choice;
