//! Where differences of paired scores come from.

use rand::Rng;
use rand::rngs::StdRng;

/// δ of every question here.
pub const MARGIN: f64 = 0.02;
/// Of one difference, where a world leaves it free: five margins.
pub const SD: f64 = 5.0 * MARGIN;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    Gaussian,
    SkewedLeft,
    SkewedRight,
    HeavyTailed,
    Atoms,
    Clustered,
    WorseFirst,
    BetterFirst,
    Disasters,
}

pub const WORLDS: [(World, &str); 9] = [
    (World::Gaussian, "gaussian"),
    (World::SkewedLeft, "skewed to the left"),
    (World::SkewedRight, "skewed to the right"),
    (World::HeavyTailed, "heavy-tailed (t, 4 df)"),
    (World::Atoms, "scores of 0 and 1"),
    (World::Clustered, "clustered seeds (3 a prompt)"),
    (World::WorseFirst, "drift in time, worse first"),
    (World::BetterFirst, "drift in time, better first"),
    (World::Disasters, "2% of images ruined"),
];

pub fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (rng.random::<f64>().max(f64::MIN_POSITIVE), rng.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}

/// The differences of a prompt's images: those that are used are the first `.1` of `.0`.
pub type Prompt = ([f64; 3], usize);

impl World {
    /// τ. Twenty margins, four standard deviations, as a calibration on the null would put it;
    /// where scores are 0 or 1 the null has differences of 1, and none is a disaster.
    pub fn drop(self) -> f64 {
        if self == Self::Atoms { 1.0 } else { 20.0 * MARGIN }
    }

    /// Whether a pass is false whatever the mean is.
    pub fn ruins(self) -> bool {
        self == Self::Disasters
    }

    /// The prompt at `step`, of mean `mean`.
    pub fn draw(self, mean: f64, step: u64, rng: &mut StdRng) -> Prompt {
        let exponential = |rng: &mut StdRng| -rng.random::<f64>().max(f64::MIN_POSITIVE).ln();
        let image = |noise: f64| (mean + SD * noise).clamp(-1.0, 1.0);
        let one = |difference: f64| ([difference, 0.0, 0.0], 1);
        // From −½ to ½ margin and again, over a hundred prompts. Prompts come in a random order,
        // so that this is what a machine that warms up would do.
        let ramp = ((step % 100) as f64 - 49.5) / 100.0 * MARGIN / SD;
        match self {
            Self::Gaussian => one(image(normal(rng))),
            Self::SkewedLeft => one(image(1.0 - exponential(rng))),
            Self::SkewedRight => one(image(exponential(rng) - 1.0)),
            Self::HeavyTailed => {
                let chi: f64 = (0..4).map(|_| normal(rng).powi(2)).sum::<f64>() / 4.0;
                one(image(normal(rng) / chi.sqrt() / 2_f64.sqrt()))
            }
            // Base and head each score 0 or 1, and 2% flip either way where nothing changed; what
            // changes is how often the head does.
            Self::Atoms => {
                let base = rng.random::<f64>() < 0.8;
                let flip = rng.random::<f64>();
                let head = match base {
                    true => flip >= (0.02 - mean.min(0.0)) / 0.8,
                    false => flip < (0.02 + mean.max(0.0)) / 0.2,
                };
                one(f64::from(u8::from(head)) - f64::from(u8::from(base)))
            }
            Self::Clustered => {
                let prompt = 0.8 * normal(rng);
                ([(); 3].map(|()| image(prompt + 0.6 * normal(rng))), 3)
            }
            Self::WorseFirst => one(image(normal(rng) + ramp)),
            Self::BetterFirst => one(image(normal(rng) - ramp)),
            Self::Disasters => {
                let ruined = rng.random::<f64>() < 0.02;
                let rest = mean + 0.012 / 0.98 + 0.2 * SD * normal(rng);
                one(if ruined { mean - 0.6 } else { rest.min(1.0) })
            }
        }
    }
}
