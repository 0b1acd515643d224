//! The few words that every letter has, in the languages that are built in.

use crate::domain::Locale;

/// Words of one language.
#[derive(Clone, Copy, Debug)]
pub struct Phrases {
    /// Between the last two of a list.
    pub and: &'static str,
    /// What the button says that leads to what it is about.
    pub open: &'static str,
    /// Why somebody gets this.
    pub why: &'static str,
    /// How they get no more of it.
    pub unsubscribe: &'static str,
    /// The same, of pushes, on a button.
    pub stop: &'static str,
}

const ENGLISH: Phrases = Phrases {
    and: "and",
    open: "Open",
    why: "You receive this e-mail because somebody sent you a notification.",
    unsubscribe: "Stop e-mails like this one",
    stop: "No more like this",
};

const SPANISH: Phrases = Phrases {
    and: "y",
    open: "Abrir",
    why: "Recibe este correo porque alguien le ha enviado una notificación.",
    unsubscribe: "Dejar de recibir correos como este",
    stop: "No más como esta",
};

const GREEK: Phrases = Phrases {
    and: "και",
    open: "Άνοιγμα",
    why: "Λαμβάνετε αυτό το μήνυμα επειδή κάποιος σας έστειλε μια ειδοποίηση.",
    unsubscribe: "Διακοπή παρόμοιων μηνυμάτων",
    stop: "Όχι άλλες σαν αυτή",
};

/// The words of a language; English ones, if it is none that is built in.
pub fn phrases(locale: &Locale) -> &'static Phrases {
    match locale.language() {
        "es" => &SPANISH,
        "el" => &GREEK,
        _ => &ENGLISH,
    }
}
