//! Kill the operator at every write of the night, before and after it: the end is the same.

use notturno::embedded::Stage;

use crate::killed::Killed;
use crate::world::World;

fn all_nights(stage: Stage) {
    let world = || {
        let world = World::new(true);
        world.declare(|_| {});
        world
    };
    let count = Killed { world, operator: World::operator, found: World::restored }.at_each_write(stage, 1, 1);
    assert!(count > 60, "the night has more writes than {count}");
}

#[test]
fn a_crash_before_any_write_changes_nothing_about_the_end() {
    all_nights(Stage::Before);
}

#[test]
fn a_crash_after_any_write_changes_nothing_about_the_end() {
    all_nights(Stage::After);
}
